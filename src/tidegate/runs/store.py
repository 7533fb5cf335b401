"""The tables of runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.kernel.clock import MachineClock, from_micros, to_micros
from tidegate.runs.experiment_store import experiments
from tidegate.runs.params import param_number, read_param, spell_param
from tidegate.runs.records import (
    ENDED,
    Artifact,
    Chart,
    Code,
    Environment,
    Foreign,
    Held,
    Measurements,
    Metric,
    Run,
    RunInput,
    Value,
)
from tidegate.runs.rules import HEARD_SECONDS
from tidegate.runs.series.points import Point
from tidegate.runs.series_store import Position, SqlSeries, series, value_kept
from tidegate.storage.catalog import Catalog
from tidegate.storage.released import Claims, Released
from tidegate.storage.schema import HOLDS_NONE, Micros, table
from tidegate.storage.text import among

HEAD = 64
"""Characters of a text that are indexed."""

runs = table(
    "run",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), nullable=False),
    sa.Column("experiment_id", sa.String(32), nullable=False),
    sa.Column("parent", sa.String(32), nullable=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("started_at", Micros, nullable=False),
    sa.Column("ended_at", Micros, nullable=True),
    sa.Column("deleted_at", Micros, nullable=True),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("code", sa.LargeBinary, nullable=False),
    sa.Column("environment", sa.LargeBinary, nullable=True),
    sa.Index("ix_run_experiment_id", "experiment_id", "id"),
    sa.Index("ix_run_parent", "parent"),
    sa.Index("ix_run_started_at", "started_at"),
    sa.Index("ix_run_experiment_started_at", "experiment_id", "started_at"),
    room="runs",
)

# Few are deleted, and they are looked for over and over.
sa.Index(
    "ix_run_deleted_at",
    runs.c.deleted_at,
    sqlite_where=runs.c.deleted_at.is_not(None),
    postgresql_where=runs.c.deleted_at.is_not(None),
)

run_params = table(
    "run_param",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("head", sa.String(HEAD), nullable=False),  # of the text: the whole of it is too long for an index
    sa.Column("number", sa.Double, nullable=True),
    sa.Index("ix_run_param_head", "name", "head", "run_id"),
    sa.Index("ix_run_param_number", "name", "number", "run_id"),
    room="runs",
)

run_tags = table(
    "run_tag",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("head", sa.String(HEAD), nullable=False),
    sa.Index("ix_run_tag_head", "name", "head", "run_id"),
    room="runs",
)

run_inputs = table(
    "run_input",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("label", sa.String(256), primary_key=True),
    sa.Column("foreign", sa.LargeBinary, nullable=True, info=HOLDS_NONE),
    room="runs",
)

run_beats = table(
    "run_beat",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("heard", sa.Float(53), nullable=False),  # by the catalog's own clock, as leases are
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

_MOST_NOTED = 10_000

deleted_at = sa.func.coalesce(runs.c.deleted_at, experiments.c.deleted_at)
"""When a run was deleted: it, or its experiment."""

_SELECT = sa.select(
    *(column for column in runs.c if column is not runs.c.deleted_at),
    deleted_at.label("deleted_at"),
    experiments.c.name.label("experiment"),
    run_beats.c.heard,
).select_from(
    runs.join(experiments, experiments.c.id == runs.c.experiment_id).outerjoin(
        run_beats, run_beats.c.run_id == runs.c.id
    )
)
_PARTS = {
    run_params: ("name", "kind", "text"),
    series: ("name", "last_value", "last_step", "last_at"),
    run_tags: ("name", "text"),
    run_inputs: ("digest", "label", "foreign"),
    run_artifacts: ("name", "digest", "bytes"),
}
"""The parts of a run, and what is read of each."""


def _part(part: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The rows of one part, those of a run in order."""
    columns = [part.c[name] for name in _PARTS[part]]
    keys = [column for column in columns if column.primary_key] or columns[:1]
    return sa.select(part.c.run_id, *columns).where(*conditions).order_by(part.c.run_id, *keys)


class SqlRuns:
    """Runs in the catalog. See `RunStore` for the laws."""

    def __init__(self, catalog: Catalog, machine: MachineClock, stale_seconds: float) -> None:
        self._catalog = catalog
        self._machine = machine
        self._stale_seconds = stale_seconds
        self._noted: dict[str, float] = {}
        self._series = SqlSeries(catalog)
        self._claims = Claims(catalog)
        self._released = Released(catalog, machine)
        held = sa.select(runs.c.status, deleted_at.label("deleted_at")).where(runs.c.id == sa.bindparam("run_id"))
        held = held.join(experiments, experiments.c.id == runs.c.experiment_id)
        beat = catalog.insert(run_beats)
        self._beat = catalog.prepared(
            beat.on_conflict_do_update(index_elements=[run_beats.c.run_id], set_={"heard": beat.excluded.heard})
        )
        self._held = catalog.query(held.with_for_update(of=runs))
        wanted = sa.bindparam("run_id", type_=sa.String)
        parts = [_part(part, part.c.run_id == wanted) for part in _PARTS]
        self._insert = catalog.prepared(runs.insert())
        self._put_tag = catalog.prepared(_upsert(catalog, run_tags, "text", "head"))
        self._put_artifact = catalog.prepared(_upsert(catalog, run_artifacts, "digest", "bytes"))
        self._put_param = catalog.prepared(catalog.insert(run_params).on_conflict_do_nothing())
        self._kept = catalog.query(
            _part(run_params, run_params.c.run_id == wanted, among(run_params.c.name, named="names"))
        )
        self._one = catalog.queries(_SELECT.where(runs.c.id == wanted), *parts)

    def add(self, run: Run) -> None:
        """Insert a run, and hold the objects of its code and its environment."""
        packages = run.environment.packages_digest if run.environment else None
        self._hold_objects(digest for digest in (run.code.diff_digest, packages) if digest)
        self._insert.soon(
            id=run.id,
            name=run.name,
            experiment_id=run.experiment_id,
            parent=run.parent,
            status=run.status,
            started_at=to_micros(run.started_at),
            ended_at=None,
            deleted_at=None,
            actor=run.actor,
            error=run.error,
            code=msgspec.json.encode(run.code),
            environment=msgspec.json.encode(run.environment) if run.environment else None,
        )

    def hold(self, run_id: str) -> Held | None:
        """Where a run is in its life, which stays so until the transaction ends."""
        found = self._held(run_id=run_id)
        return Held(found[0].status, found[0].deleted_at is not None) if found else None

    def hear(self, run_id: str, *, every: float = HEARD_SECONDS) -> None:
        """Note that a run gave a sign of life; seldom, for runs are told of things all the time."""
        now = self._machine.monotonic()
        if now - self._noted.get(run_id, -every) < every:
            return
        if len(self._noted) >= _MOST_NOTED:
            self._noted.clear()
        self._noted[run_id] = now
        self._beat.soon(run_id=run_id, heard=self._catalog.seconds())

    def add_params(self, run_id: str, params: Mapping[str, Value]) -> dict[str, Value]:
        """Keep those that are new; returns the values kept of all that were given."""
        if not params:
            return {}
        self._put_param.defer([_param(run_id, name, value) for name, value in params.items()])
        return {row.name: read_param(row.kind, row.text) for row in self._kept(run_id=run_id, names=list(params))}

    def add_metrics(self, run_id: str, metrics: Iterable[Metric]) -> None:
        """Keep measurements, each once."""
        self._series.add(run_id, metrics)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        rows = [{"run_id": run_id, "name": name, "text": text, "head": text[:HEAD]} for name, text in tags.items()]
        self._put_tag.defer(rows)

    def add_inputs(self, run_id: str, inputs: Iterable[RunInput]) -> None:
        """Add inputs."""
        rows = [
            {
                "run_id": run_id,
                "digest": one.digest,
                "label": one.label,
                "foreign": None if one.foreign is None else msgspec.json.encode(one.foreign),
            }
            for one in inputs
        ]
        if rows:
            with self._catalog.connect() as connection:
                connection.execute(self._catalog.insert(run_inputs).on_conflict_do_nothing(), rows)

    def set_artifacts(self, run_id: str, artifacts: Sequence[Artifact]) -> None:
        """Set artifacts by name, and hold their objects; those that they take the place of are released."""
        if not artifacts:
            return
        digests = {one.name: one.digest for one in artifacts}
        before = sa.select(run_artifacts.c.name, run_artifacts.c.digest).where(
            run_artifacts.c.run_id == run_id, run_artifacts.c.name.in_(list(digests))
        )
        with self._catalog.connect() as connection:
            replaced = [row.digest for row in connection.execute(before) if row.digest != digests[row.name]]
        self._released.add(replaced)
        self._hold_objects(digests.values())
        self._put_artifact.defer([{"run_id": run_id, **msgspec.structs.asdict(one)} for one in artifacts])

    def delete_tag(self, run_id: str, name: str) -> bool:
        """Delete a tag; whether it was there."""
        own = sa.and_(run_tags.c.run_id == run_id, run_tags.c.name == name)
        with self._catalog.connect() as connection:
            return connection.execute(run_tags.delete().where(own)).rowcount > 0

    def delete_artifacts(self, run_id: str, name: str) -> int:
        """Delete an artifact of this name and those in a folder of this name; how many there were."""
        inside = sa.func.substr(run_artifacts.c.name, 1, len(name) + 1) == f"{name}/"
        own = sa.and_(run_artifacts.c.run_id == run_id, sa.or_(run_artifacts.c.name == name, inside))
        with self._catalog.connect() as connection:
            gone = (
                connection.execute(run_artifacts.delete().where(own).returning(run_artifacts.c.digest)).scalars().all()
            )
        self._released.add(gone)
        return len(gone)

    def write(self, run: Run) -> None:
        """Write name, status, error and moments of a run that is held."""
        moments = {"started_at": run.started_at, "ended_at": run.ended_at, "deleted_at": run.deleted_at}
        micros = {name: None if one is None else to_micros(one) for name, one in moments.items()}
        update = runs.update().where(runs.c.id == run.id)
        with self._catalog.connect() as connection:
            connection.execute(update.values(name=run.name, status=run.status, error=run.error, **micros))
        if run.status in ENDED:
            self._series.settle(run.id)

    def get(self, run_id: str) -> Run | None:
        """A run with all that belongs to it."""
        rows, *parts = self._one(run_id=run_id)
        found = [read_run(row, dict(zip(_PARTS, parts, strict=True))) for row in rows]
        return self.with_stale(found, rows)[0] if found else None

    def select(self, experiment: str, status: str, before: str, limit: int, *, parent: str = "") -> list[Run]:
        """Runs that are not deleted, with ids below one, greatest first."""
        query = _SELECT.where(deleted_at.is_(None)).order_by(runs.c.id.desc()).limit(limit)
        if experiment:
            query = query.where(runs.c.experiment_id == experiment)
        if parent:
            query = query.where(runs.c.parent == parent)
        if status:
            query = query.where(runs.c.status == status)
        return self._runs(query.where(runs.c.id < before) if before else query)

    def history(self, run_id: str, name: str, after: Position | None, limit: int) -> list[Metric]:
        """Measurements in the order of name, step, time, value."""
        return self._series.history(run_id, name, after, limit)

    def measurements(self, run_id: str, name: str, after: Point | None, limit: int) -> Measurements:
        """Measurements of a metric in the order of time, step, value."""
        return self._series.measurements(run_id, name, after, limit)

    def sample(self, run_id: str, name: str, points: int, start: int | None, end: int | None) -> Measurements:
        """The first of each of so many stretches of as many measurements, and the last, in the order of steps."""
        return self._series.sample(run_id, name, points, start, end)

    def chart(
        self, run_id: str, names: Sequence[str], points: int, start: int | None, end: int | None
    ) -> tuple[Chart, ...]:
        """A chart of each name."""
        return self._series.chart(run_id, names, points, start, end)

    def _hold_objects(self, digests: Iterable[str]) -> None:
        """Nobody sweeps them from here on, however old they are. Whether they are there is asked after this."""
        self._claims.hold(list(digests))

    def _runs(self, query: sa.Select[Any]) -> list[Run]:
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
            ids = [row.id for row in rows]
            parts = {part: read_part(connection, part, ids) for part in _PARTS}
        found = [read_run(row, {part: found.get(row.id, ()) for part, found in parts.items()}) for row in rows]
        return self.with_stale(found, rows)

    def with_stale(self, found: list[Run], rows: Sequence[Any]) -> list[Run]:
        """Runs of rows that tell when they were heard of, those that are stale marked as such."""
        if not any(run.status == "running" for run in found):
            return found
        now = self._catalog.seconds()
        # A beat in the future is one from before the machine was started anew: whoever gave it is gone.
        return [
            msgspec.structs.replace(run, stale=True)
            if run.status == "running" and row.heard is not None and not 0 <= now - row.heard < self._stale_seconds
            else run
            for run, row in zip(found, rows, strict=True)
        ]


def _upsert(catalog: Catalog, into: sa.Table, *columns: str) -> Any:
    insert = catalog.insert(into)
    return insert.on_conflict_do_update(
        index_elements=list(into.primary_key.columns), set_={name: insert.excluded[name] for name in columns}
    )


def read_part(
    connection: sa.Connection, part: sa.Table, ids: Sequence[str], *conditions: sa.ColumnElement[bool]
) -> dict[str, list[sa.Row[Any]]]:
    """The rows of one part by the runs that they are of, those of a run in order."""
    found: dict[str, list[sa.Row[Any]]] = {}
    for row in connection.execute(_part(part, among(part.c.run_id, ids), *conditions)).all():
        found.setdefault(row[0], []).append(row)
    return found


_NOT_READ = Code(absent="not asked for")
_CODE = msgspec.json.Decoder(Code)
_ENVIRONMENT = msgspec.json.Decoder(Environment)


def read_run(row: Any, parts: Mapping[sa.Table, Sequence[Any]]) -> Run:
    """A run of its row and of the rows of its parts; a part or column that was not read is empty."""
    code, environment = getattr(row, "code", None), getattr(row, "environment", None)
    return Run(
        id=row.id,
        name=row.name,
        experiment=row.experiment,
        experiment_id=row.experiment_id,
        parent=row.parent,
        status=row.status,
        started_at=from_micros(row.started_at),
        ended_at=None if row.ended_at is None else from_micros(row.ended_at),
        deleted_at=None if row.deleted_at is None else from_micros(row.deleted_at),
        actor=row.actor,
        error=row.error,
        params={name: read_param(kind, text) for _, name, kind, text in parts.get(run_params, ())},
        latest=tuple([_latest(*cells) for cells in parts.get(series, ())]),
        tags={name: text for _, name, text in parts.get(run_tags, ())},
        inputs=tuple(_input(one) for one in parts.get(run_inputs, ())),
        artifacts=tuple(Artifact(one.name, one.digest, one.bytes) for one in parts.get(run_artifacts, ())),
        code=_NOT_READ if code is None else _CODE.decode(code),
        environment=None if environment is None else _ENVIRONMENT.decode(environment),
    )


def _param(run_id: str, name: str, value: Value) -> dict[str, Any]:
    kind, text = spell_param(value)
    return {
        "run_id": run_id,
        "name": name,
        "kind": kind,
        "text": text,
        "head": text[:HEAD],
        "number": param_number(value),
    }


def _input(row: sa.Row[Any]) -> RunInput:
    foreign = None if row.foreign is None else msgspec.json.decode(row.foreign, type=Foreign)
    return RunInput(row.digest, row.label, foreign)


def _latest(_run_id: str, name: str, value: float | None, step: int, at: int) -> Metric:
    return Metric(name=name, value=value_kept(value), step=step, at=from_micros(at))
