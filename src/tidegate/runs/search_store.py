"""Searches, compiled to one SELECT.

A filter becomes semi-joins, an order one LEFT JOIN a key, and a page costs one more read for each part that is wanted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from tidegate.runs.experiment_store import experiments
from tidegate.runs.records import Run
from tidegate.runs.search.ast import Attribute, Dataset, Field, MetricValue, OrderKey, Param, Tag
from tidegate.runs.search.fields import NULLABLE
from tidegate.runs.search.paging import Position, Search
from tidegate.runs.search.projection import Names, Projection
from tidegate.runs.search_clauses import LACKING, NAN, PRESENT, Clause, Column, Key, clause, clause_of, in_order
from tidegate.runs.series_store import series
from tidegate.runs.store import (
    HEAD,
    SqlRuns,
    deleted_at,
    read_part,
    read_run,
    run_artifacts,
    run_beats,
    run_inputs,
    run_params,
    run_tags,
    runs,
)
from tidegate.storage.catalog import Catalog

_METRICS: Final = {"last": "last_value", "min": "least_value", "max": "greatest_value"}
_NAMED_PARTS: Final = {"params": run_params, "metrics": series, "tags": run_tags}
_WHOLE_PARTS: Final = {"inputs": run_inputs, "artifacts": run_artifacts}
_COLUMNS: Final = ("code", "environment")
_EXPERIMENT: Final = Attribute("experiment")


class SqlRunSearch:
    """Searches the catalog. See `RunSearch` for the laws."""

    def __init__(self, catalog: Catalog, runs: SqlRuns) -> None:
        self._catalog = catalog
        self._runs = runs

    def page(
        self, search: Search, projection: Projection, after: Position | None, limit: int
    ) -> tuple[list[Run], Position | None]:
        """Runs after a position, and that of the last one where more come after it."""
        wanted: list[Column] = [
            column
            for column in runs.c
            if column is not runs.c.deleted_at and (column.name not in _COLUMNS or column.name in projection.whole)
        ]
        wanted.append(deleted_at.label("deleted_at"))
        source: sa.FromClause = runs.join(experiments, experiments.c.id == runs.c.experiment_id)
        source = source.outerjoin(run_beats, run_beats.c.run_id == runs.c.id)
        keys: list[Key] = []
        for number, key in enumerate(search.order):
            source, made = _key(number, key, source)
            keys.append(made)
        wanted += [experiments.c.name.label("experiment"), run_beats.c.heard]
        wanted += (column for key in keys for column in key.columns)
        query: sa.Select[Any] = sa.select(*wanted).select_from(source)
        query = in_order(query.where(_chosen(search)), keys, after).limit(limit + 1)
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
            last = tuple(key.place(rows[limit - 1]) for key in keys) if len(rows) > limit else None
            rows = rows[:limit]
            parts = _parts(connection, projection, [row.id for row in rows])
        found = [read_run(row, {part: of.get(row.id, ()) for part, of in parts.items()}) for row in rows]
        return self._runs.with_stale(found, rows), last

    def count(self, search: Search) -> int:
        """How many there are."""
        query = sa.select(sa.func.count()).select_from(runs).where(_chosen(search))
        with self._catalog.connect() as connection:
            return int(connection.execute(query).scalar_one())


def _chosen(search: Search) -> Clause:
    clauses = [clause(search.where, _FIELDS)]
    if search.experiments:
        clauses.append(runs.c.experiment_id.in_(search.experiments))
    if search.state != "all":
        gone = runs.c.experiment_id.in_(sa.select(experiments.c.id).where(experiments.c.deleted_at.is_not(None)))
        deleted = sa.or_(runs.c.deleted_at.is_not(None), gone)
        clauses.append(deleted if search.state == "deleted" else sa.not_(deleted))
    return sa.and_(*clauses)


class _RunFields:
    """The fields of runs. See `Fields`."""

    def column(self, field: Field) -> Column:
        """The column of a field."""
        return _column(field)

    def holds(self, field: Field, condition: Clause | None) -> Clause:
        """Whether the run has the field, and the condition is met there."""
        if field == _EXPERIMENT and condition is not None:
            return runs.c.experiment_id.in_(sa.select(experiments.c.id).where(condition))
        clauses = [] if condition is None else [condition]
        if isinstance(field, Attribute):
            if field.name in NULLABLE:
                clauses.append(_column(field).is_not(None))
            return sa.and_(*clauses)
        table = _table(field)
        clauses.append(_of_field(field, table))
        if isinstance(field, Param) and field.number:
            clauses.append(table.c.number.is_not(None))
        return runs.c.id.in_(sa.select(table.c.run_id).where(*clauses))

    def equals(self, field: Field, value: str) -> Clause | None:
        """Whether a parameter or tag is a text: its beginning is indexed."""
        if not isinstance(field, Param | Tag):
            return None
        table = _table(field)
        head = clause_of(table.c.head == value[:HEAD])
        return head if len(value) < HEAD else sa.and_(head, table.c.text == value)


_FIELDS: Final = _RunFields()


def _of_field(field: Field, table: sa.FromClause) -> Clause:
    """Which rows of the field's table are of this field."""
    if isinstance(field, Attribute | Dataset):
        return sa.true()
    clause: Clause = table.c.name == field.name
    return clause


def _table(field: Field) -> sa.Table:
    match field:
        case MetricValue():
            return series
        case Param():
            return run_params
        case Tag():
            return run_tags
        case Dataset():
            return run_inputs
        case Attribute():
            return runs


def _column(field: Field, table: sa.FromClause | None = None) -> Column:
    columns = (_table(field) if table is None else table).c
    match field:
        case Attribute("experiment"):
            return experiments.c.name
        case Attribute(name):
            return columns[name]
        case MetricValue(_, aggregate):
            return columns[_METRICS[aggregate]]
        case Param(number=True):
            return columns.number
        case Dataset("name"):
            ours = sa.func.rtrim(sa.func.rtrim(columns.label, "0123456789"), "/")  # of flights/3
            return sa.case((columns.foreign.is_(None), ours), else_=columns.label)
        case Dataset(part):
            return columns[part]
    return columns.text


def _key(number: int, key: OrderKey, source: sa.FromClause) -> tuple[sa.FromClause, Key]:
    """A key, and the source with the rows that it needs."""
    field = key.field
    if isinstance(field, Attribute):
        value = _column(field)
        return source, Key(number, key, value, _rank(value) if field.name in NULLABLE else None)
    table = _table(field).alias(f"key_{number}")
    value = _column(field, table)
    lacking = table.c.run_id.is_(None)
    rank = sa.case((lacking, LACKING), (value.is_(None), NAN), else_=PRESENT)
    joined = source.outerjoin(table, sa.and_(table.c.run_id == runs.c.id, _of_field(field, table)))
    return joined, Key(number, key, value, rank if isinstance(field, MetricValue) else _rank(value))


def _rank(value: Column) -> Column:
    return sa.case((value.is_(None), LACKING), else_=PRESENT)


def _parts(
    connection: sa.Connection, projection: Projection, ids: Sequence[str]
) -> Mapping[sa.Table, Mapping[str, Sequence[Any]]]:
    """The wanted parts of these runs, each by one read."""
    named = {_NAMED_PARTS[part]: names for part, names in projection.named.items()}
    parts = {table: read_part(connection, table, ids, *_named(table, names)) for table, names in named.items()}
    whole = [table for part, table in _WHOLE_PARTS.items() if part in projection.whole]
    return parts | {table: read_part(connection, table, ids) for table in whole}


def _named(table: sa.Table, names: Names) -> list[Clause]:
    if names.all:
        return []
    beginnings = [sa.func.substr(table.c.name, 1, len(prefix)) == prefix for prefix in names.prefixes]
    return [sa.or_(table.c.name.in_(names.exact), *beginnings)]
