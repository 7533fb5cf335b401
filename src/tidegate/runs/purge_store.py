"""What is left of runs and experiments when they are purged: nothing but the facts and the audit."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.lineage.store import edges
from tidegate.runs.chunk_store import forget
from tidegate.runs.experiment_store import experiment_tags, experiments
from tidegate.runs.records import Code, Environment
from tidegate.runs.series_store import series
from tidegate.runs.store import run_artifacts, runs
from tidegate.runs.upload_store import uploads
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, metadata, table

purged = table(
    "run_purged",
    sa.Column("run_id", sa.String(32), primary_key=True),  # as long as measurements of it are left
    sa.Column("purged_at", Micros, nullable=False),
    room="runs",
)

_APART = frozenset({"run", series.name, purged.name, uploads.name})
"""Tables whose rows go otherwise. Those of uploads stay: a journal must not bring back what was purged."""


class SqlPurge:
    """Keeps the promises of `PurgeStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def due(self, before: int, limit: int) -> list[str]:
        """Runs that were deleted before a moment, they or their experiment, and that no version came from."""
        return self._ids(_deleted(before, ~_held_by_a_version()), limit)

    def kept(self, before: int) -> int:
        """How many were deleted before a moment, and are kept because a version came from them."""
        found = _deleted(before, _held_by_a_version()).subquery()
        with self._catalog.connect() as connection:
            count: int = connection.execute(sa.select(sa.func.count()).select_from(found)).scalar_one()
        return count

    def remove(self, run_id: str, before: int, now: int) -> tuple[str, ...] | None:
        """Delete a run and all but its measurements; the objects that it referred to. None if it is not due."""
        query = sa.select(runs.c.code, runs.c.environment).where(runs.c.id == run_id).with_for_update()
        due = _deleted(before, ~_held_by_a_version()).subquery()
        still = sa.select(sa.literal(1)).where(sa.exists().where(due.c.id == run_id))
        with self._catalog.connect() as connection:
            row = connection.execute(query).first()
            if row is None or connection.execute(still).first() is None:
                return None
            digests = _objects_of(connection, run_id, row)
            for part in metadata.sorted_tables:
                if part.info.get("room") == "runs" and "run_id" in part.c and part.name not in _APART:
                    connection.execute(part.delete().where(part.c.run_id == run_id))
            for column in _elsewhere():
                named = column == run_id
                change = column.table.update().values({column.name: None}) if column.nullable else column.table.delete()
                connection.execute(change.where(named))
            connection.execute(runs.delete().where(runs.c.id == run_id))
            connection.execute(purged.insert().values(run_id=run_id, purged_at=now))
        return digests

    def unfinished(self) -> str | None:
        """A purged run of which measurements may be left."""
        with self._catalog.connect() as connection:
            found: str | None = connection.execute(
                sa.select(purged.c.run_id).order_by(purged.c.run_id).limit(1)
            ).scalar()
        return found

    def forget(self, run_id: str, limit: int) -> bool:
        """Delete so many metrics of a purged run; whether none is left."""
        query = sa.select(series.c.id).where(series.c.run_id == run_id).limit(limit)
        with self._catalog.connect() as connection:
            ids: Sequence[int] = connection.execute(query).scalars().all()
            if ids:
                forget(connection, ids)
                connection.execute(series.delete().where(series.c.id.in_(ids)))
            if len(ids) == limit:
                return False
            connection.execute(purged.delete().where(purged.c.run_id == run_id))
        return True

    def empty(self, before: int, limit: int) -> list[str]:
        """Experiments that were deleted before a moment, and have no runs any more."""
        without = ~sa.exists().where(runs.c.experiment_id == experiments.c.id)
        return self._ids(sa.select(experiments.c.id).where(experiments.c.deleted_at <= before, without), limit)

    def remove_experiment(self, experiment_id: str, before: int) -> bool:
        """Delete one of those; whether it still was one."""
        without = ~sa.exists().where(runs.c.experiment_id == experiment_id)
        own = sa.and_(experiments.c.id == experiment_id, experiments.c.deleted_at <= before, without)
        with self._catalog.connect() as connection:
            gone = connection.execute(experiments.delete().where(own)).rowcount > 0
            if gone:
                connection.execute(experiment_tags.delete().where(experiment_tags.c.experiment_id == experiment_id))
        return gone

    def _ids(self, query: sa.Select[Any], limit: int) -> list[str]:
        with self._catalog.connect() as connection:
            return list(connection.execute(query.order_by(sa.text("1")).limit(limit)).scalars())


def _elsewhere() -> list[sa.Column[Any]]:
    """The columns of other rooms that name runs."""
    return [column for part in metadata.sorted_tables for column in part.c if column.info.get("of_run")]


def _deleted(before: int, which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The ids of runs that were deleted by themselves, or with their experiment."""
    group = sa.select(experiments.c.id).where(experiments.c.deleted_at <= before)
    alone = sa.select(runs.c.id).where(runs.c.deleted_at <= before, which)
    within = sa.select(runs.c.id).where(runs.c.experiment_id.in_(group), which)
    both = sa.union(alone, within).subquery()
    return sa.select(both.c.id)


def _held_by_a_version() -> sa.Exists:
    return sa.exists().where(edges.c.source_kind == "run", edges.c.source_key == runs.c.id)


def _objects_of(connection: sa.Connection, run_id: str, row: Any) -> tuple[str, ...]:
    query = sa.select(run_artifacts.c.digest).where(run_artifacts.c.run_id == run_id)
    found = set(connection.execute(query).scalars())
    code = msgspec.json.decode(row.code, type=Code)
    environment = None if row.environment is None else msgspec.json.decode(row.environment, type=Environment)
    found |= {digest for digest in (code.diff_digest, environment and environment.packages_digest) if digest}
    return tuple(sorted(found))
