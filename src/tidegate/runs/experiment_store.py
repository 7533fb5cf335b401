"""The tables of experiments."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.kernel.errors import Invalid
from tidegate.runs.records import Experiment
from tidegate.runs.search.ast import Attribute, Field, OrderKey
from tidegate.runs.search.paging import Position, Search
from tidegate.runs.search_clauses import Clause, Key, clause, in_order
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table
from tidegate.storage.text import among

experiments = table(
    "experiment",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(500), nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("updated_at", Micros, nullable=False),
    sa.Column("deleted_at", Micros, nullable=True),
    room="runs",
)
# A name belongs to one active experiment; deleted ones keep theirs, for whoever restores them.
sa.Index(
    "ux_experiment_name",
    experiments.c.name,
    unique=True,
    sqlite_where=experiments.c.deleted_at.is_(None),
    postgresql_where=experiments.c.deleted_at.is_(None),
)

experiment_tags = table(
    "experiment_tag",
    sa.Column("experiment_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    room="runs",
)

_ACTIVE = experiments.c.deleted_at.is_(None)


class SqlExperiments:
    """Experiments in the catalog. See `ExperimentStore` for the laws."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # Whatever is told or searched asks for its experiment: that path goes straight to the driver.
        own = sa.select(experiments, experiment_tags.c.name.label("tag"), experiment_tags.c.text)
        own = own.outerjoin(experiment_tags, experiment_tags.c.experiment_id == experiments.c.id)
        own = own.where(experiments.c.id == sa.bindparam("id")).order_by(experiment_tags.c.name)
        self._with_tags = catalog.query(own)

    def add(self, experiment: Experiment) -> Experiment:
        """Insert it, or return the active one of its name."""
        insert = self._catalog.insert(experiments).values(
            id=experiment.id,
            name=experiment.name,
            by=experiment.by,
            created_at=to_micros(experiment.created_at),
            updated_at=to_micros(experiment.updated_at),
            deleted_at=None,
        )
        with self._catalog.connect() as connection:
            connection.execute(insert.on_conflict_do_nothing())
        found = self.get(experiment.id) or self.named(experiment.name)
        return found if found is not None else experiment

    def get(self, experiment_id: str) -> Experiment | None:
        """The experiment of this id, active or deleted."""
        rows = self._with_tags(id=experiment_id)
        return _experiment(rows[0], {row.tag: row.text for row in rows if row.tag is not None}) if rows else None

    def named(self, name: str, *, deleted: bool = False) -> Experiment | None:
        """The active experiment of this name; or the one of those deleted that was made last."""
        which = ~_ACTIVE if deleted else _ACTIVE
        query = sa.select(experiments).where(experiments.c.name == name, which)
        return self._one(query.order_by(experiments.c.id.desc()).limit(1))

    def write(self, experiment: Experiment) -> bool:
        """Write name and lifecycle of one that is there; whether the name was free."""
        taken = sa.select(experiments.c.id).where(
            experiments.c.name == experiment.name, _ACTIVE, experiments.c.id != experiment.id
        )
        deleted_at = None if experiment.deleted_at is None else to_micros(experiment.deleted_at)
        update = experiments.update().where(experiments.c.id == experiment.id)
        with self._catalog.connect() as connection:
            if deleted_at is None and connection.execute(taken).first() is not None:
                return False
            connection.execute(
                update.values(name=experiment.name, updated_at=to_micros(experiment.updated_at), deleted_at=deleted_at)
            )
        return True

    def set_tags(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        rows = [{"experiment_id": experiment_id, "name": name, "text": text} for name, text in tags.items()]
        if not rows:
            return
        insert = self._catalog.insert(experiment_tags)
        keys = [experiment_tags.c.experiment_id, experiment_tags.c.name]
        with self._catalog.connect() as connection:
            connection.execute(
                insert.on_conflict_do_update(index_elements=keys, set_={"text": insert.excluded.text}), rows
            )

    def delete_tag(self, experiment_id: str, name: str) -> bool:
        """Delete a tag; whether it was there."""
        own = sa.and_(experiment_tags.c.experiment_id == experiment_id, experiment_tags.c.name == name)
        with self._catalog.connect() as connection:
            return connection.execute(experiment_tags.delete().where(own)).rowcount > 0

    def select(self, deleted: bool | None, before: tuple[datetime, str] | None, limit: int) -> list[Experiment]:
        """Experiments, those that were changed last first, older than this moment and id; None: whatever state."""
        query = sa.select(experiments).order_by(experiments.c.updated_at.desc(), experiments.c.id.desc()).limit(limit)
        if deleted is not None:
            query = query.where(~_ACTIVE if deleted else _ACTIVE)
        if before is not None:
            moment = to_micros(before[0])
            at_once = sa.and_(experiments.c.updated_at == moment, experiments.c.id < before[1])
            query = query.where(sa.or_(experiments.c.updated_at < moment, at_once))
        return self._many(query)

    def search(self, search: Search, after: Position | None, limit: int) -> list[tuple[Experiment, Position]]:
        """Experiments after a position, each with its own."""
        keys = [_key(number, key) for number, key in enumerate(search.order)]
        query = sa.select(experiments, *(column for key in keys for column in key.columns))
        query = query.where(clause(search.where, _FIELDS))
        if search.state != "all":
            query = query.where(~_ACTIVE if search.state == "deleted" else _ACTIVE)
        with self._catalog.connect() as connection:
            rows = connection.execute(in_order(query, keys, after).limit(limit)).all()
        return [
            (found, tuple(key.place(row) for key in keys)) for found, row in zip(self._read(rows), rows, strict=True)
        ]

    def _one(self, query: sa.Select[Any]) -> Experiment | None:
        found = self._many(query)
        return found[0] if found else None

    def _many(self, query: sa.Select[Any]) -> list[Experiment]:
        with self._catalog.connect() as connection:
            return self._read(connection.execute(query).all())

    def _read(self, rows: Sequence[sa.Row[Any]]) -> list[Experiment]:
        with self._catalog.connect() as connection:
            tags = _tags(connection, [row.id for row in rows])
        return [_experiment(row, tags.get(row.id, {})) for row in rows]


class _ExperimentFields:
    """The fields of experiments. See `Fields`."""

    def column(self, field: Field) -> sa.ColumnElement[Any]:
        """The column of a field."""
        return experiments.c[field.name] if isinstance(field, Attribute) else experiment_tags.c.text

    def holds(self, field: Field, condition: Clause | None) -> Clause:
        """Whether the experiment has the field, and the condition is met there."""
        if isinstance(field, Attribute):
            return sa.true() if condition is None else condition
        clauses = [experiment_tags.c.name == getattr(field, "name", ""), *([] if condition is None else [condition])]
        return experiments.c.id.in_(sa.select(experiment_tags.c.experiment_id).where(*clauses))

    def equals(self, _field: Field, _value: str) -> Clause | None:
        """No quicker way."""
        return None


_FIELDS = _ExperimentFields()


def _key(number: int, key: OrderKey) -> Key:
    if not isinstance(key.field, Attribute):
        raise Invalid("experiments are ordered by their attributes alone", field="order_by")
    return Key(number, key, experiments.c[key.field.name])


def _tags(connection: sa.Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    query = sa.select(experiment_tags).where(among(experiment_tags.c.experiment_id, ids))
    for row in connection.execute(query.order_by(*experiment_tags.primary_key)):
        found.setdefault(row.experiment_id, {})[row.name] = row.text
    return found


def _experiment(row: Any, tags: dict[str, str]) -> Experiment:
    return Experiment(
        id=row.id,
        name=row.name,
        by=row.by,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        deleted_at=None if row.deleted_at is None else from_micros(row.deleted_at),
        tags=tags,
    )
