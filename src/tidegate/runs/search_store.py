"""Searches, compiled to one SELECT.

A filter becomes semi-joins, an order one LEFT JOIN a key, and a page costs one more read for each part that is wanted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from tidegate.runs.experiment_store import experiments
from tidegate.runs.records import Run
from tidegate.runs.search.ast import Attribute, Dataset, Field, MetricValue, OrderKey, Param, Tag
from tidegate.runs.search.fields import NULLABLE, value_kind
from tidegate.runs.search.paging import Place, Position, Search
from tidegate.runs.search.projection import Names, Projection
from tidegate.runs.search_clauses import Clause, clause, clause_of
from tidegate.runs.search_clauses import after as after_position
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
from tidegate.storage.text import by_code_point

_METRICS: Final = {"last": "last_value", "min": "least_value", "max": "greatest_value"}
_NAMED_PARTS: Final = {"params": run_params, "metrics": series, "tags": run_tags}
_WHOLE_PARTS: Final = {"inputs": run_inputs, "artifacts": run_artifacts}
_COLUMNS: Final = ("code", "environment")
_EXPERIMENT: Final = Attribute("experiment")
_PRESENT, _NAN, _LACKING = 0, 1, 2


class SqlRunSearch:
    """Searches the catalog. See `RunSearch` for the laws."""

    def __init__(self, catalog: Catalog, runs: SqlRuns) -> None:
        self._catalog = catalog
        self._runs = runs

    def page(
        self, search: Search, projection: Projection, after: Position | None, limit: int
    ) -> list[tuple[Run, Position]]:
        """Runs after a position, each with its own."""
        keys = [_Key(key, number) for number, key in enumerate(search.order)]
        wanted: list[sa.ColumnElement[Any]] = [
            column
            for column in runs.c
            if column is not runs.c.deleted_at and (column.name not in _COLUMNS or column.name in projection.whole)
        ]
        wanted.append(deleted_at.label("deleted_at"))
        source: sa.FromClause = runs.join(experiments, experiments.c.id == runs.c.experiment_id)
        source = source.outerjoin(run_beats, run_beats.c.run_id == runs.c.id)
        for key in keys:
            source = key.joined(source)
        wanted += [experiments.c.name.label("experiment"), run_beats.c.heard]
        query = sa.select(*wanted, *(column for key in keys for column in key.columns)).select_from(source)
        query = query.where(_chosen(search)).order_by(*(one for key in keys for one in key.order)).limit(limit)
        if after is not None:
            query = query.where(after_position(keys, after))
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
            parts = _parts(connection, projection, [row.id for row in rows])
        found = [read_run(row, {part: of.get(row.id, ()) for part, of in parts.items()}) for row in rows]
        return list(zip(self._runs.with_stale(found, rows), (_position(row, len(keys)) for row in rows), strict=True))

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

    def column(self, field: Field) -> sa.ColumnElement[Any]:
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


def _column(field: Field, table: sa.FromClause | None = None) -> sa.ColumnElement[Any]:
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


class _Key:
    """One key of the order: how far the run has the field at all, and the field."""

    def __init__(self, key: OrderKey, number: int) -> None:
        field = key.field
        self._descending = key.descending
        self._field = field
        self._table = runs if isinstance(field, Attribute) else _table(field).alias(f"key_{number}")
        self._value = _column(field, self._table)
        self._sorted = by_code_point(self._value) if value_kind(field) == "text" else self._value
        self._ranked = not isinstance(field, Attribute) or field.name in NULLABLE
        self._rank = self._ranks() if self._ranked else sa.literal(_PRESENT)
        self.columns = (self._rank.label(f"rank_{number}"), self._value.label(f"value_{number}"))

    def _ranks(self) -> sa.ColumnElement[int]:
        if isinstance(self._field, MetricValue):
            lacking = self._table.c.run_id.is_(None)
            return sa.case((lacking, _LACKING), (self._value.is_(None), _NAN), else_=_PRESENT)
        return sa.case((self._value.is_(None), _LACKING), else_=_PRESENT)

    def joined(self, source: sa.FromClause) -> sa.FromClause:
        """The source with the rows that this key needs."""
        if isinstance(self._field, Attribute):
            return source
        own = sa.and_(self._table.c.run_id == runs.c.id, _of_field(self._field, self._table))
        return source.outerjoin(self._table, own)

    @property
    def order(self) -> list[sa.ColumnElement[Any]]:
        """What to sort by."""
        value = self._sorted.desc() if self._descending else self._sorted.asc()
        return [self._rank, value] if self._ranked else [value]

    def same(self, place: Place) -> Clause:
        """Whether a run stands where this one does."""
        if place.rank != _PRESENT:
            return clause_of(self._rank == place.rank)
        return clause_of(self._value == place.value)

    def beyond(self, place: Place) -> Clause:
        """Whether a run stands behind this one."""
        if place.rank != _PRESENT:
            return self._rank > place.rank
        further = clause_of(self._sorted < place.value if self._descending else self._sorted > place.value)
        return sa.or_(self._rank > _PRESENT, further) if self._ranked else further


def _position(row: sa.Row[Any], keys: int) -> Position:
    found = row._mapping
    return tuple(Place(found[f"rank_{number}"], found[f"value_{number}"]) for number in range(keys))


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
