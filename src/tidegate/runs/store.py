"""The tables of runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.runs.records import Artifact, Chart, Code, Environment, Metric, Run, RunInput, Status, Value
from tidegate.runs.series_store import Position, SqlSeries, series, value_kept
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

runs = table(
    "run",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("experiment", sa.String(128), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("started_at", Micros, nullable=False),
    sa.Column("ended_at", Micros, nullable=True),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("code", sa.LargeBinary, nullable=False),
    sa.Column("environment", sa.LargeBinary, nullable=True),
    sa.Index("ix_run_experiment_id", "experiment", "id"),
    room="runs",
)

run_params = table(
    "run_param",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    room="runs",
)

run_tags = table(
    "run_tag",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    room="runs",
)

run_inputs = table(
    "run_input",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("label", sa.String(256), primary_key=True),
    room="runs",
)

run_artifacts = table(
    "run_artifact",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    room="runs",
)

_PARTS = (run_params, series, run_tags, run_inputs, run_artifacts)


class SqlRuns:
    """Runs in the catalog. See `RunStore` for the laws."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._series = SqlSeries(catalog)
        status = sa.select(runs.c.status).where(runs.c.id == sa.bindparam("run_id"))
        self._status = catalog.query(status.with_for_update())

    def add(self, run: Run) -> None:
        """Insert a run."""
        with self._catalog.connect() as connection:
            connection.execute(
                runs.insert().values(
                    id=run.id,
                    experiment=run.experiment,
                    status=run.status,
                    started_at=to_micros(run.started_at),
                    ended_at=None,
                    actor=run.actor,
                    error=run.error,
                    code=msgspec.json.encode(run.code),
                    environment=msgspec.json.encode(run.environment) if run.environment else None,
                )
            )

    def hold(self, run_id: str) -> Status | None:
        """The status of a run, which stays as it is until the transaction ends."""
        found = self._status(run_id=run_id)
        return found[0].status if found else None

    def add_params(self, run_id: str, params: Mapping[str, Value]) -> dict[str, Value]:
        """Keep those that are new; returns the values kept of all that were given."""
        if not params:
            return {}
        rows = [{"run_id": run_id, "name": name, "value": msgspec.json.encode(value)} for name, value in params.items()]
        kept = sa.select(run_params.c.name, run_params.c.value).where(
            run_params.c.run_id == run_id, run_params.c.name.in_(list(params))
        )
        with self._catalog.connect() as connection:
            connection.execute(self._catalog.insert(run_params).on_conflict_do_nothing(), rows)
            return {row.name: msgspec.json.decode(row.value) for row in connection.execute(kept)}

    def add_metrics(self, run_id: str, metrics: Iterable[Metric]) -> None:
        """Keep measurements, each once."""
        self._series.add(run_id, metrics)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        rows = [{"run_id": run_id, "name": name, "text": text} for name, text in tags.items()]
        self._upsert(run_tags, ("text",), rows)

    def add_inputs(self, run_id: str, inputs: Iterable[RunInput]) -> None:
        """Add inputs."""
        rows = [{"run_id": run_id, "digest": one.digest, "label": one.label} for one in inputs]
        if rows:
            with self._catalog.connect() as connection:
                connection.execute(self._catalog.insert(run_inputs).on_conflict_do_nothing(), rows)

    def set_artifacts(self, run_id: str, artifacts: Iterable[Artifact]) -> None:
        """Set artifacts by name."""
        rows = [{"run_id": run_id, **msgspec.structs.asdict(one)} for one in artifacts]
        self._upsert(run_artifacts, ("digest", "bytes"), rows)

    def end(self, run: Run) -> None:
        """Write status, end and error."""
        ended_at = to_micros(run.ended_at) if run.ended_at else None
        update = runs.update().where(runs.c.id == run.id)
        with self._catalog.connect() as connection:
            connection.execute(update.values(status=run.status, ended_at=ended_at, error=run.error))
        self._series.settle(run.id)

    def get(self, run_id: str) -> Run | None:
        """A run with all that belongs to it."""
        found = self._runs(sa.select(runs).where(runs.c.id == run_id))
        return found[0] if found else None

    def select(self, experiment: str, status: str, before: str, limit: int) -> list[Run]:
        """Runs with ids below one, greatest first."""
        query = sa.select(runs).order_by(runs.c.id.desc()).limit(limit)
        if experiment:
            query = query.where(runs.c.experiment == experiment)
        if status:
            query = query.where(runs.c.status == status)
        return self._runs(query.where(runs.c.id < before) if before else query)

    def history(self, run_id: str, name: str, after: Position | None, limit: int) -> list[Metric]:
        """Measurements in the order of name, step, time, value."""
        return self._series.history(run_id, name, after, limit)

    def chart(
        self, run_id: str, names: Sequence[str], points: int, start: int | None, end: int | None
    ) -> tuple[Chart, ...]:
        """A chart of each name."""
        return self._series.chart(run_id, names, points, start, end)

    def _upsert(self, into: sa.Table, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        insert = self._catalog.insert(into)
        upsert = insert.on_conflict_do_update(
            index_elements=list(into.primary_key.columns),
            set_={name: insert.excluded[name] for name in columns},
        )
        with self._catalog.connect() as connection:
            connection.execute(upsert, rows)

    def _runs(self, query: sa.Select[Any]) -> list[Run]:
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
            ids = [row.id for row in rows]
            parts = {part: _by_run(connection, part, ids) for part in _PARTS}
        return [_run(row, {part: found.get(row.id, []) for part, found in parts.items()}) for row in rows]


def _by_run(connection: sa.Connection, part: sa.Table, ids: Sequence[str]) -> dict[str, list[sa.Row[Any]]]:
    found: dict[str, list[sa.Row[Any]]] = {}
    if ids:
        for row in connection.execute(sa.select(part).where(part.c.run_id.in_(ids)).order_by(*part.primary_key)):
            found.setdefault(row.run_id, []).append(row)
    return found


def _run(row: sa.Row[Any], parts: Mapping[sa.Table, Sequence[sa.Row[Any]]]) -> Run:
    return Run(
        id=row.id,
        experiment=row.experiment,
        status=row.status,
        started_at=from_micros(row.started_at),
        ended_at=None if row.ended_at is None else from_micros(row.ended_at),
        actor=row.actor,
        error=row.error,
        params={one.name: msgspec.json.decode(one.value) for one in parts[run_params]},
        metrics={one.name: value_kept(one.last_value) for one in sorted(parts[series], key=_name)},
        tags={one.name: one.text for one in parts[run_tags]},
        inputs=tuple(RunInput(one.digest, one.label) for one in parts[run_inputs]),
        artifacts=tuple(Artifact(one.name, one.digest, one.bytes) for one in parts[run_artifacts]),
        code=msgspec.json.decode(row.code, type=Code),
        environment=None if row.environment is None else msgspec.json.decode(row.environment, type=Environment),
    )


def _name(row: sa.Row[Any]) -> str:
    name: str = row.name
    return name
