"""The room of runs: what was trained, from what, with which code, and what it measured."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import msgspec

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, Instant, business_time, to_micros
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.lineage.records import Graph
from tidegate.runs.records import (
    ENDED,
    Artifact,
    Chart,
    Code,
    Environment,
    Held,
    Logged,
    Metric,
    Run,
    RunInput,
    Value,
)
from tidegate.runs.rules import (
    MOST_MEASUREMENTS,
    NOTED_ERROR,
    check_chart,
    check_run_name,
    spelt_params,
)
from tidegate.runs.search.order import TIE_BREAK, parse_order
from tidegate.runs.search.paging import RunSearch, Search, State, read_page
from tidegate.runs.search.parser import parse_filter
from tidegate.runs.search.projection import parse_projection
from tidegate.runs.series.points import Point, rank_of
from tidegate.runs.writing import RunWriter, Told, ToldRows

if TYPE_CHECKING:
    from tidegate.data.records import DatasetVersion
    from tidegate.data.rows import Rows
    from tidegate.data.service import Data
    from tidegate.runs.active import ActiveRun
    from tidegate.runs.experiments import Experiments


class RunStore(ToldRows, Protocol):
    """The catalog's rows of runs.

    Laws: (1) a parameter keeps its first value; (2) the latest of a metric is the one of the greatest step, then
    time, then value, in whatever order they arrive, NaN being below every number; (3) every measurement is kept in
    the history, and the same one (name, step, time, value) sent again is one; (4) `hold` keeps where the run is in its
    life until the transaction ends; (5) deleted runs are found by their id alone.
    """

    def add(self, run: Run) -> None:
        """Insert a run without params, metrics, tags, inputs and artifacts."""
        ...

    def hold(self, run_id: str) -> Held | None:
        """Where a run is in its life, None where there is none."""
        ...

    def delete_tag(self, run_id: str, name: str) -> bool:
        """Delete a tag; whether it was there."""
        ...

    def write(self, run: Run) -> None:
        """Write name, status, error and moments of a run that is held."""
        ...

    def get(self, run_id: str) -> Run | None:
        """A run with all that belongs to it."""
        ...

    def select(self, experiment: str, status: str, before: str, limit: int, *, parent: str = "") -> list[Run]:
        """Runs with ids below one, greatest first; empty texts choose everything. ``experiment`` is an id."""
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
    uses: ClassVar[tuple[str, ...]] = ("data", "experiments")
    _data: "Data"
    _experiments: "Experiments"

    def __init__(
        self,
        *,
        store: RunStore,
        searches: RunSearch,
        objects: ObjectPlane,
        clock: BusinessClock,
        ids: IdFactory,
        facts: Facts,
        graph: Graph,
    ) -> None:
        self._store = store
        self._searches = searches
        self._objects = objects
        self._clock = clock
        self._ids = ids
        self._facts = facts
        self._writer = RunWriter(store, objects, clock, graph)

    def start(
        self,
        experiment: str,
        *,
        name: str = "",
        parent: "ActiveRun | Run | str" = "",
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        inputs: "Iterable[DatasetVersion | Rows | str]" = (),
    ) -> "ActiveRun":
        """Begin a run of the code of this process; use it as a context manager, which also ends it.

        The git commit, the difference of tracked files to it (up to 10 MiB) and the installed packages are kept.
        ``parent`` is the run that it is a part of. ``inputs`` are dataset versions, rows of them, or references.
        """
        from tidegate.runs.active import ActiveRun, input_references
        from tidegate.runs.capture import capture_code, capture_environment

        run = self.create(
            experiment,
            name=name,
            parent=parent if isinstance(parent, str) else parent.id,
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
        name: str = "",
        parent: str = "",
        started_at: Instant | None = None,
        params: dict[str, Value] = {},  # noqa: B006 - never changed
        tags: dict[str, str] = {},  # noqa: B006 - never changed
        inputs: tuple[str, ...] = (),
        code: Code = Code(absent="not told"),  # noqa: B008 - frozen
        environment: Environment | None = None,
    ) -> Run:
        """Begin a run, of an experiment by its id or its name; a name that nobody has makes one.

        ``parent`` is the id of the run that it is a part of; ``started_at`` is for a run that began elsewhere.
        ``inputs`` are references of dataset versions.
        """
        now = self._clock.now()
        group = self._experiments.ensured(experiment)
        if group.deleted_at is not None:
            raise Conflict(f"experiment {group.name!r} is deleted: restore it first", experiment=group.id)
        if parent:
            self.get(parent)
        run = Run(
            id=self._ids.new(now),
            name=check_run_name(name),
            experiment=group.name,
            experiment_id=group.id,
            parent=parent or None,
            status="running",
            started_at=now if started_at is None else business_time(started_at, "started_at"),
            actor=actor(),
            code=code,
            environment=environment,
        )
        self._store.add(run)
        self._writer.link(run)
        self._writer.write(run.id, Told(params=params, tags=tags, inputs=self._inputs(inputs)))
        self._facts.append("tidegate.runs.started", run.id, experiment=run.experiment)
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
        foreign_inputs: tuple[RunInput, ...] = (),
        artifacts: tuple[Artifact, ...] = (),
        late: bool = False,
    ) -> Logged:
        """Tell a run more, all of it or nothing; one that has ended too, where it is meant to be ``late``.

        ``inputs`` are references of dataset versions, ``foreign_inputs`` datasets that another tool keeps.
        Raises `Conflict` for a parameter that has another value, and when the run has ended or is deleted.
        """
        self._require_open(run_id, late=late)
        self._writer.write(run_id, Told(params, metrics, tags, self._inputs(inputs), foreign_inputs, artifacts))
        return Logged(run_id, len(params), len(metrics), len(tags), len(inputs), len(artifacts))

    @operation("POST /runs/{run_id}/finish", role="contributor", audit="change")
    def finish(
        self,
        run_id: str,
        *,
        status: Literal["finished", "failed", "killed"] = "finished",
        error: str = "",
        ended_at: Instant | None = None,
    ) -> Run:
        """End a run.

        ``ended_at`` is for one that ended elsewhere. Raises `Conflict` when it has ended already.
        """
        self._require_open(run_id)
        if error and status == "finished":
            raise Invalid("a finished run has no error: say status failed, or leave the error out", field="error")
        end = self._clock.now() if ended_at is None else business_time(ended_at, "ended_at")
        return self._change(run_id, status, status=status, ended_at=end, error=error[:NOTED_ERROR])

    @operation("POST /runs/{run_id}/resume", role="contributor", audit="change")
    def resume(self, run_id: str, *, status: Literal["running", "scheduled"] = "running") -> Run:
        """Let a run go on that has ended, or that was scheduled."""
        self._require_open(run_id, late=True)
        return self._change(run_id, "resumed", status=status, ended_at=None, error="")

    @operation("POST /runs/{run_id}/rename", role="contributor", audit="change")
    def rename(self, run_id: str, *, name: str) -> Run:
        """Give a run another name."""
        self._require_open(run_id, late=True)
        return self._change(run_id, "renamed", name=check_run_name(name))

    @operation("POST /runs/{run_id}/delete", role="contributor", audit="change")
    def delete(self, run_id: str) -> Run:
        """Delete a run. It can be restored, and is found by its id alone until then."""
        return self._change(run_id, "deleted", deleted_at=self._clock.now())

    @operation("POST /runs/{run_id}/restore", role="contributor", audit="change")
    def restore(self, run_id: str) -> Run:
        """Restore a deleted run."""
        return self._change(run_id, "restored", deleted_at=None)

    @operation("POST /runs/{run_id}/tags/delete", role="contributor", audit="change")
    def delete_tag(self, run_id: str, *, name: str) -> Run:
        """Delete a tag of a run."""
        self._require_open(run_id, late=True)
        if not self._store.delete_tag(run_id, name):
            raise NotFound(f"run {run_id} has no tag {name!r}", name=name)
        return self.get(run_id)

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
        status: Literal["", "running", "scheduled", "finished", "failed", "killed"] = "",
        parent: str = "",
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Run]:
        """Runs, the newest first; of one experiment (its id or name), of one parent, in one status, where given."""
        key = decode_cursor(cursor, (str,))
        group = self._experiments.get(experiment).id if experiment else ""
        found = self._store.select(group, status, key[0] if key else "", page_size(limit) + 1, parent=parent)
        more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
        return Page(found[:limit], more)

    @operation("POST /runs/search", role="viewer", audit="none", transaction=False)
    def search(
        self,
        filter: str = "",
        *,
        experiments: tuple[str, ...] = (),
        state: State = "active",
        order_by: tuple[str, ...] = (),
        fields: tuple[str, ...] = (),
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Run]:
        """Runs by what they hold, of some experiments or all.

        ``filter`` reads such as ``metrics.auc > 0.8 AND NOT params.depth < 3``. ``experiments`` are ids or names.
        ``order_by`` holds keys such as ``metrics.max(auc) DESC``; then come the newest first. ``fields`` names the
        parts to read (``params``, ``metrics.auc``, ``tags.mlflow.*``, ``inputs``, ``artifacts``, ``code``,
        ``environment``, or only ``attributes``); without any, all.
        """
        order = (*parse_order(order_by), *TIE_BREAK)
        search = Search(parse_filter(filter), self._experiment_ids(experiments), state, order)
        return read_page(self._searches, search, parse_projection(fields), limit, cursor)

    @operation("POST /runs/count", role="viewer", audit="none", transaction=False)
    def count(self, filter: str = "", *, experiments: tuple[str, ...] = (), state: State = "active") -> int:
        """How many runs there are of which the filter is true, of some experiments or all."""
        return self._searches.count(Search(parse_filter(filter), self._experiment_ids(experiments), state))

    def _experiment_ids(self, experiments: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._experiments.get(one).id for one in experiments)

    def _require_open(self, run_id: str, *, late: bool = False) -> None:
        held = self._store.hold(run_id)
        if held is None:
            raise NotFound(f"there is no run {run_id!r}; runs.list shows what there is", run_id=run_id)
        if held.deleted:
            raise Conflict(f"run {run_id} is deleted and takes nothing more: restore it first", run_id=run_id)
        if held.status in ENDED and not late:
            raise Conflict(
                f"run {run_id} has ended ({held.status}) and takes nothing more: start another, resume it, or log to "
                "it as late",
                run_id=run_id,
            )

    def _change(self, run_id: str, what: str, **changes: object) -> Run:
        self._store.hold(run_id)
        changed = msgspec.structs.replace(self.get(run_id), **changes)
        self._store.write(changed)
        self._facts.append(f"tidegate.runs.{what}", run_id, experiment=changed.experiment, error=changed.error)
        return changed

    def _inputs(self, references: tuple[str, ...]) -> tuple[RunInput, ...]:
        found = [self._data.resolve(reference) for reference in references]
        return tuple(RunInput(version.digest, str(version)) for version in found)


def _position(metric: Metric) -> tuple[str, int, int, int]:
    at = 0 if metric.at is None else to_micros(metric.at)
    return metric.name, metric.step, at, rank_of(metric.value)
