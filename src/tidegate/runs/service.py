"""The room of runs: what was trained, from what, with which code, and what it measured."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import msgspec

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, to_micros, utc
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.names import check_name
from tidegate.kernel.objects import ObjectPlane, parse_digest
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.lineage.records import Edge, Graph, Node
from tidegate.runs.records import Artifact, Chart, Code, Environment, Logged, Metric, Run, RunInput, Status, Value
from tidegate.runs.rules import (
    MOST_MEASUREMENTS,
    NOTED_ERROR,
    check_artifact_name,
    check_chart,
    check_metrics,
    check_params,
    check_tags,
    code_label,
    environment_label,
    spelt_params,
)
from tidegate.runs.series.points import Point, rank_of

if TYPE_CHECKING:
    from tidegate.data.records import DatasetVersion
    from tidegate.data.rows import Rows
    from tidegate.data.service import Data
    from tidegate.runs.active import ActiveRun


class RunStore(Protocol):
    """The catalog's rows of runs.

    Laws: (1) a parameter keeps its first value; (2) the latest of a metric is the one of the greatest step, then
    time, then value, in whatever order they arrive, NaN being below every number; (3) every measurement is kept in
    the history, and the same one (name, step, time, value) sent again is one; (4) a run ends once; (5) `hold` keeps
    the run's status as it is until the transaction ends.
    """

    def add(self, run: Run) -> None:
        """Insert a run without params, metrics, tags, inputs and artifacts."""
        ...

    def hold(self, run_id: str) -> Status | None:
        """The status of a run, None where there is none."""
        ...

    def add_params(self, run_id: str, params: Mapping[str, Value]) -> dict[str, Value]:
        """Keep those that are new; returns the values kept of all that were given."""
        ...

    def add_metrics(self, run_id: str, metrics: Iterable[Metric]) -> None:
        """Add to the history and to the latest values of a run that is held."""
        ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    def add_inputs(self, run_id: str, inputs: Iterable[RunInput]) -> None:
        """Add inputs; adding one twice is harmless."""
        ...

    def set_artifacts(self, run_id: str, artifacts: Iterable[Artifact]) -> None:
        """Set artifacts by name."""
        ...

    def end(self, run: Run) -> None:
        """Write status, end and error of a run that is held."""
        ...

    def get(self, run_id: str) -> Run | None:
        """A run with all that belongs to it."""
        ...

    def select(self, experiment: str, status: str, before: str, limit: int) -> list[Run]:
        """Runs with ids below one, greatest first; empty texts choose everything."""
        ...

    def history(self, run_id: str, name: str, after: tuple[str, Point] | None, limit: int) -> list[Metric]:
        """Measurements after a position, in the order of name, step, time, value."""
        ...

    def chart(
        self, run_id: str, names: Sequence[str], points: int, start: int | None, end: int | None
    ) -> tuple[Chart, ...]:
        """A chart of each name over the same steps."""
        ...


class Runs(Service):
    """Runs: executions of training code, with params, metrics, code, environment and inputs."""

    room: ClassVar[str] = "runs"
    uses: ClassVar[tuple[str, ...]] = ("data",)
    _data: "Data"

    def __init__(
        self,
        *,
        store: RunStore,
        objects: ObjectPlane,
        clock: BusinessClock,
        ids: IdFactory,
        facts: Facts,
        graph: Graph,
    ) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._ids = ids
        self._facts = facts
        self._graph = graph

    def start(
        self,
        experiment: str,
        *,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        inputs: "Iterable[DatasetVersion | Rows | str]" = (),
    ) -> "ActiveRun":
        """Begin a run of the code of this process; use it as a context manager, which also ends it.

        The git commit, the difference of tracked files to it (up to 10 MiB) and the installed packages are kept.
        ``inputs`` are dataset versions, rows of them, or references.
        """
        from tidegate.runs.active import ActiveRun, input_references
        from tidegate.runs.capture import capture_code, capture_environment

        check_name(experiment, "experiment")
        run = self.create(
            experiment,
            params=spelt_params(params or {}),
            tags=dict(tags or {}),
            inputs=input_references(inputs),
            code=capture_code(self._objects),
            environment=capture_environment(self._objects),
        )
        return ActiveRun(run, self, self._objects)

    @operation("POST /runs", role="contributor", audit="change")
    def create(
        self,
        experiment: str,
        *,
        params: dict[str, Value] = {},  # noqa: B006 - never changed
        tags: dict[str, str] = {},  # noqa: B006 - never changed
        inputs: tuple[str, ...] = (),
        code: Code = Code(absent="not told"),  # noqa: B008 - frozen
        environment: Environment | None = None,
    ) -> Run:
        """Begin a run. ``inputs`` are references of dataset versions."""
        now = self._clock.now()
        run = Run(
            id=self._ids.new(now),
            experiment=check_name(experiment, "experiment"),
            status="running",
            started_at=now,
            actor=actor(),
            code=code,
            environment=environment,
        )
        self._store.add(run)
        self._link(run)
        self._write(run.id, params=params, tags=tags, inputs=inputs)
        self._facts.append("tidegate.runs.started", run.id, experiment=experiment)
        return self.get(run.id)

    @operation("POST /runs/{run_id}/log", role="contributor", audit="summary")
    def log(
        self,
        run_id: str,
        *,
        params: dict[str, Value] = {},  # noqa: B006 - never changed
        metrics: tuple[Metric, ...] = (),
        tags: dict[str, str] = {},  # noqa: B006 - never changed
        inputs: tuple[str, ...] = (),
        artifacts: tuple[Artifact, ...] = (),
    ) -> Logged:
        """Tell a run more, all of it or nothing.

        Raises `Conflict` for a parameter that has another value, and when the run has ended.
        """
        self._require_running(run_id)
        self._write(run_id, params=params, metrics=metrics, tags=tags, inputs=inputs, artifacts=artifacts)
        return Logged(run_id, len(params), len(metrics), len(tags), len(inputs), len(artifacts))

    @operation("POST /runs/{run_id}/finish", role="contributor", audit="change")
    def finish(self, run_id: str, *, status: Literal["finished", "failed"] = "finished", error: str = "") -> Run:
        """End a run. Raises `Conflict` when it has ended already."""
        self._require_running(run_id)
        if error and status == "finished":
            raise Invalid("a finished run has no error: say status failed, or leave the error out", field="error")
        ended = msgspec.structs.replace(
            self.get(run_id), status=status, ended_at=self._clock.now(), error=error[:NOTED_ERROR]
        )
        self._store.end(ended)
        self._facts.append(f"tidegate.runs.{status}", run_id, experiment=ended.experiment, error=ended.error)
        return ended

    @operation("GET /runs/{run_id}", role="viewer", audit="none")
    def get(self, run_id: str) -> Run:
        """One run, with the latest value of each metric."""
        found = self._store.get(run_id)
        if found is None:
            raise NotFound(f"there is no run {run_id!r}; runs.list shows what there is", run_id=run_id)
        return found

    @operation("GET /runs/{run_id}/metrics", role="viewer", audit="none")
    def history(self, run_id: str, *, name: str = "", limit: int = 100, cursor: str = "") -> Page[Metric]:
        """Every measurement of a run, or of one metric of it, in the order of name, step, time, value.

        ``limit`` is 25,000 at most.
        """
        key = decode_cursor(cursor, (str, int, int, int))
        after = (key[0], Point(*key[1:])) if key else None
        found = self._store.history(run_id, name, after, page_size(limit, MOST_MEASUREMENTS) + 1)
        if not found:
            self.get(run_id)
        more = encode_cursor(*_position(found[limit - 1])) if len(found) > limit else None
        return Page(found[:limit], more)

    @operation("GET /runs/{run_id}/chart", role="viewer", audit="none")
    def chart(
        self,
        run_id: str,
        names: tuple[str, ...],
        *,
        points: int = 320,
        start_step: int | None = None,
        end_step: int | None = None,
    ) -> tuple[Chart, ...]:
        """Metrics of a run over their steps, in at most ``points`` buckets (1 to 5,000) of one width; all on one grid.

        Each bucket tells first, last, least and greatest exactly; the cost is that of the buckets, not of the
        history. The steps begin and end where the metrics do, unless they are given (both are included). A name that
        was never measured has no buckets.
        """
        check_chart(names, points, start_step, end_step)
        charts = self._store.chart(run_id, names, points, start_step, end_step)
        if not any(chart.buckets for chart in charts):
            self.get(run_id)
        return charts

    @operation("GET /runs", role="viewer", audit="none")
    def list(
        self,
        *,
        experiment: str = "",
        status: Literal["", "running", "finished", "failed"] = "",
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Run]:
        """Runs, the newest first; of one experiment, or in one status, where that is given."""
        key = decode_cursor(cursor, (str,))
        found = self._store.select(experiment, status, key[0] if key else "", page_size(limit) + 1)
        more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
        return Page(found[:limit], more)

    def _require_running(self, run_id: str) -> None:
        status = self._store.hold(run_id)
        if status is None:
            raise NotFound(f"there is no run {run_id!r}; runs.list shows what there is", run_id=run_id)
        if status != "running":
            raise Conflict(f"run {run_id} has ended ({status}) and takes nothing more: start another", run_id=run_id)

    def _write(
        self,
        run_id: str,
        *,
        params: dict[str, Value],
        metrics: tuple[Metric, ...] = (),
        tags: dict[str, str],
        inputs: tuple[str, ...],
        artifacts: tuple[Artifact, ...] = (),
    ) -> None:
        check_params(params)
        check_metrics(metrics)
        check_tags(tags)
        for artifact in artifacts:
            self._require_object(artifact)
        self._keep_params(run_id, params)
        if metrics:
            now = self._clock.now()
            self._store.add_metrics(run_id, [_dated(metric, now) for metric in metrics])
        self._store.set_tags(run_id, tags)
        self._keep_inputs(run_id, inputs)
        self._store.set_artifacts(run_id, artifacts)

    def _keep_params(self, run_id: str, params: dict[str, Value]) -> None:
        for name, kept in self._store.add_params(run_id, params).items():
            if kept != params[name] or type(kept) is not type(params[name]):
                raise Conflict(
                    f"parameter {name!r} of run {run_id} is {kept!r} and was not set to {params[name]!r}: "
                    "a parameter keeps its first value",
                    field=f"params.{name}",
                )

    def _keep_inputs(self, run_id: str, references: tuple[str, ...]) -> None:
        found = [self._data.resolve(reference) for reference in references]
        self._store.add_inputs(run_id, [RunInput(version.digest, str(version)) for version in found])
        for version in found:
            self._graph.add(Edge(Node("dataset", version.digest, str(version)), Node("run", run_id), "input"))

    def _require_object(self, artifact: Artifact) -> None:
        check_artifact_name(artifact.name)
        parse_digest(artifact.digest, f"artifact {artifact.name!r}")
        if artifact.bytes < 0 or not self._objects.exists(artifact.digest):
            raise Invalid(f"artifact {artifact.name!r}: its object is not stored: put it first", digest=artifact.digest)

    def _link(self, run: Run) -> None:
        node = Node("run", run.id, run.experiment)
        if run.code.key is not None:
            self._graph.add(Edge(Node("code", run.code.key, code_label(run)), node, "code"))
        if run.environment is not None:
            source = Node("environment", run.environment.packages_digest, environment_label(run))
            self._graph.add(Edge(source, node, "environment"))


def _dated(metric: Metric, now: datetime) -> Metric:
    if metric.at is not None and metric.at.tzinfo is UTC:
        return metric
    return msgspec.structs.replace(metric, at=now if metric.at is None else utc(metric.at))


def _position(metric: Metric) -> tuple[str, int, int, int]:
    at = 0 if metric.at is None else to_micros(metric.at)
    return metric.name, metric.step, at, rank_of(metric.value)
