"""The tables of pipelines: a row is a version of a pipeline, or a run with all its steps."""

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from tidegate.kernel import wire
from tidegate.kernel.clock import to_micros
from tidegate.pipelines.records import Journaled, Pipeline, PipelineRun
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

T = TypeVar("T")

pipelines = table(
    "pipeline",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("pipeline", sa.LargeBinary, nullable=False),
    room="pipelines",
)

runs = table(
    "pipeline_run",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("pipeline", sa.String(128), nullable=False),
    sa.Column("key", sa.String(128), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("ended_at", Micros, nullable=True, index=True),
    sa.Column("term", sa.BigInteger, nullable=False),
    sa.Column("heard", sa.BigInteger, nullable=False),
    sa.Column("run", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("pipeline", "key"),
    sa.Index(None, "pipeline", "id"),
    room="pipelines",
)


MOST_PIPELINES = 10_000
_REGISTERED = sa.select(sa.func.count()).select_from(pipelines)
_ACTIVE = sa.select(runs).where(runs.c.ended_at.is_(None)).order_by(runs.c.id)  # asked at every step: built once


class SqlPipelines:
    """Pipelines and their runs in the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def write(self, work: Callable[[], T], fence: Callable[[Any], None] | None = None) -> T:
        """Run a function inside one write transaction, which no other one that moves a run overlaps."""

        def alone() -> T:
            self._catalog.serialise()
            return work()

        return self._catalog.write(alone, fence=fence)

    def newest(self, name: str) -> Pipeline | None:
        """The newest version of a pipeline."""
        query = sa.select(pipelines.c.pipeline).where(pipelines.c.name == name)
        found = self._pipelines(query.order_by(pipelines.c.number.desc()).limit(1))
        return found[0] if found else None

    def version(self, name: str, number: int) -> Pipeline | None:
        """One version of a pipeline."""
        query = sa.select(pipelines.c.pipeline).where(pipelines.c.name == name, pipelines.c.number == number)
        found = self._pipelines(query)
        return found[0] if found else None

    def all(self, after: str, limit: int) -> list[Pipeline]:
        """The newest version of each pipeline whose name comes after this one, by name."""
        newest = sa.select(pipelines.c.name, sa.func.max(pipelines.c.number).label("number"))
        of = newest.where(pipelines.c.name > after).group_by(pipelines.c.name)
        names = of.order_by(pipelines.c.name).limit(limit).subquery()
        same = (pipelines.c.name == names.c.name) & (pipelines.c.number == names.c.number)
        return self._pipelines(sa.select(pipelines.c.pipeline).join(names, same).order_by(pipelines.c.name))

    def registered(self) -> int:
        """How many versions there are, of all pipelines."""
        with self._catalog.connect() as connection:
            return int(connection.execute(_REGISTERED).scalar_one())

    def latest(self) -> Pipeline | None:
        """The version that was registered last, of any pipeline."""
        return max(self.all("", MOST_PIPELINES), key=lambda one: one.registered_at, default=None)

    def add(self, pipeline: Pipeline) -> None:
        """Keep a version."""
        row = {"name": pipeline.name, "number": pipeline.number, "digest": pipeline.digest}
        with self._catalog.connect() as connection:
            connection.execute(pipelines.insert().values(**row, pipeline=wire.encode(pipeline, Pipeline)))

    def add_run(self, run: PipelineRun) -> None:
        """Keep a new run, inside the ambient transaction."""
        row = {"id": run.id, "pipeline": run.pipeline, "key": run.key}
        with self._catalog.connect() as connection:
            connection.execute(runs.insert().values(**row, **_columns(Journaled(run, 0, 0))))

    def keep(self, kept: Journaled) -> None:
        """Write a run as it is now, inside the ambient transaction."""
        with self._catalog.connect() as connection:
            connection.execute(runs.update().where(runs.c.id == kept.run.id).values(**_columns(kept)))

    def find(self, run_id: str) -> Journaled | None:
        """The run of this id."""
        found = self._runs(sa.select(runs).where(runs.c.id == run_id))
        return found[0] if found else None

    def by_key(self, pipeline: str, key: str) -> PipelineRun | None:
        """The run of a pipeline that was started under this key."""
        found = self._runs(sa.select(runs).where(runs.c.pipeline == pipeline, runs.c.key == key))
        return found[0].run if found else None

    def active(self) -> list[Journaled]:
        """Every run that has not ended, the oldest first."""
        return self._runs(_ACTIVE)

    def page(self, pipeline: str, state: str, before: str, limit: int) -> list[PipelineRun]:
        """Runs of a pipeline, the newest first: in a state where one is given, with a smaller id than `before`."""
        query = sa.select(runs).where(runs.c.pipeline == pipeline).order_by(runs.c.id.desc()).limit(limit)
        if state:
            query = query.where(runs.c.state == state)
        if before:
            query = query.where(runs.c.id < before)
        return [kept.run for kept in self._runs(query)]

    def _pipelines(self, query: sa.Select[Any]) -> list[Pipeline]:
        with self._catalog.connect() as connection:
            rows = connection.execute(query).scalars()
            return [wire.decode(raw, Pipeline, "row of the catalog") for raw in rows]

    def _runs(self, query: sa.Select[Any]) -> list[Journaled]:
        with self._catalog.connect() as connection:
            return [
                Journaled(wire.decode(row.run, PipelineRun, "row of the catalog"), row.term, row.heard)
                for row in connection.execute(query)
            ]


def _columns(kept: Journaled) -> dict[str, Any]:
    run, term, heard = kept
    return {
        "state": run.state,
        "ended_at": None if run.ended_at is None else to_micros(run.ended_at),
        "term": term,
        "heard": heard,
        "run": wire.encode(run, PipelineRun),
    }
