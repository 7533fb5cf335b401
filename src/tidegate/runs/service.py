"""The room of runs: what was trained, from what, with which code, and what it measured."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import msgspec

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, Instant, business_time
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.operation import operation
from tidegate.lineage.records import Graph
from tidegate.runs.comparison import RunComparing
from tidegate.runs.offline.entries import Begun, Entry
from tidegate.runs.purging import Purger, RunPurging
from tidegate.runs.reading import RunReading, RunRows
from tidegate.runs.records import ENDED, Artifact, Code, Environment, Held, Logged, Metric, Run, RunInput, Value
from tidegate.runs.rules import HEARD_SECONDS, NOTED_ERROR, check_artifact_name, check_run_name, spelt_params
from tidegate.runs.search.paging import RunSearch
from tidegate.runs.uploads import RunUploads, UploadStore
from tidegate.runs.writing import RunWriter, Told, ToldRows

if TYPE_CHECKING:
    from pathlib import Path

    from tidegate.data.records import DatasetVersion
    from tidegate.data.rows import Rows
    from tidegate.data.service import Data
    from tidegate.runs.active import ActiveRun


class RunStore(ToldRows, RunRows, Protocol):
    """The catalog's rows of runs.

    Laws: (1) a parameter keeps its first value; (2) the latest of a metric is the one of the greatest step, then
    time, then value, in whatever order they arrive, NaN being below every number; (3) every measurement is kept in
    the history, and the same one (name, step, time, value) sent again is one; (4) `hold` keeps where the run is in its
    life until the transaction ends; (5) deleted runs are found by their id alone, and so are those of a deleted
    experiment; (6) a running run is stale once it has not been heard of for some minutes.
    """

    def add(self, run: Run) -> None:
        """Insert a run without params, metrics, tags, inputs and artifacts."""
        ...

    def hold(self, run_id: str) -> Held | None:
        """Where a run is in its life, None where there is none."""
        ...

    def hear(self, run_id: str, *, every: float = HEARD_SECONDS) -> None:
        """Note that a run gave a sign of life, unless this process noted it less than so many seconds ago."""
        ...

    def delete_tag(self, run_id: str, name: str) -> bool:
        """Delete a tag; whether it was there."""
        ...

    def delete_artifacts(self, run_id: str, name: str) -> tuple[str, ...]:
        """Delete an artifact of this name and those in a folder of this name; the digests that there were."""
        ...

    def write(self, run: Run) -> None:
        """Write name, status, error and moments of a run that is held."""
        ...


class Runs(RunReading, RunComparing, RunUploads, RunPurging):
    """Runs: executions of training code, with params, metrics, code, environment and inputs."""

    uses: ClassVar[tuple[str, ...]] = ("data", "experiments")
    _data: "Data"
    _store: RunStore

    def __init__(
        self,
        *,
        store: RunStore,
        searches: RunSearch,
        uploads: UploadStore,
        purger: Purger,
        objects: ObjectPlane,
        clock: BusinessClock,
        ids: IdFactory,
        facts: Facts,
        graph: Graph,
    ) -> None:
        self._store = self._rows = store
        self._searches = searches
        self._uploads = uploads
        self._purger = purger
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
        system_metrics: bool | float = False,
        offline: "bool | str | Path" = False,
    ) -> "ActiveRun":
        """Begin a run of the code of this process; use it as a context manager, which also ends it.

        The git commit, the difference of tracked files to it (up to 10 MiB) and the installed packages are kept.
        ``parent`` is the run that it is a part of. ``inputs`` are dataset versions, rows of them, or references.

        ``system_metrics``: CPU, memory, disk, network and GPUs are sampled every 10 seconds, or as many as are given
        (needs the extra ``system``). ``offline``: nothing is asked of the home; all goes into a folder
        (``tidegate-offline`` unless it is named), which `upload` brings here later. Inputs must then name their
        versions, such as ``flights/3``.
        """
        from tidegate.runs.active import ActiveRun, input_references
        from tidegate.runs.capture import capture_code, capture_environment
        from tidegate.runs.system import sampler_for

        sampler = sampler_for(system_metrics)
        if offline is not False:
            from tidegate.runs.offline.book import begin

            return begin(
                offline,
                experiment,
                name=name,
                parent=parent if isinstance(parent, str) else parent.id,
                params=spelt_params(params or {}),
                tags=dict(tags or {}),
                inputs=input_references(inputs),
                sampler=sampler,
            )
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
        return ActiveRun(run, self, self._objects, sampler=sampler)

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
        begun = Begun(
            experiment=experiment,
            name=name,
            parent=parent,
            started_at=now if started_at is None else started_at,
            code=code,
            environment=environment,
        )
        return self._begin(self._ids.new(now), begun, Told(params=params, tags=tags, inputs=self._inputs(inputs)))

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
        self._store.hear(run_id)
        return Logged(run_id, len(params), len(metrics), len(tags), len(inputs), len(artifacts))

    @operation("POST /runs/{run_id}/heartbeat", role="contributor", audit="summary")
    def heartbeat(self, run_id: str) -> Logged:
        """Say that a run goes on, though it has nothing to tell.

        A run that neither logs nor beats for `stale_run_minutes` while it is running is shown as stale; nothing else
        happens to it, and it is no longer stale when it is heard of again. Raises `Conflict` when it has ended.
        """
        self._require_open(run_id)
        self._store.hear(run_id, every=0)
        return Logged(run_id)

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
        """Delete a run. It can be restored until it is purged, and is found by its id alone."""
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

    @operation("POST /runs/{run_id}/artifacts/delete", role="contributor", audit="change")
    def delete_artifacts(self, run_id: str, *, name: str) -> Run:
        """Delete an artifact of a run, or a folder of them. Their bytes go once nothing else refers to them."""
        check_artifact_name(name)
        self._require_open(run_id, late=True)
        digests = self._store.delete_artifacts(run_id, name)
        if not digests:
            raise NotFound(f"run {run_id} has no artifact {name!r}", name=name)
        self._purger.let_go(digests)
        return self.get(run_id)

    def _begin(self, run_id: str, begun: Begun, told: Told) -> Run:
        group = self._experiments.ensured(begun.experiment)
        if group.deleted_at is not None:
            raise Conflict(f"experiment {group.name!r} is deleted: restore it first", experiment=group.id)
        if begun.parent:
            self.get(begun.parent)
        run = Run(
            id=run_id,
            name=check_run_name(begun.name),
            experiment=group.name,
            experiment_id=group.id,
            parent=begun.parent or None,
            status="running",
            started_at=business_time(begun.started_at, "started_at"),
            actor=actor(),
            code=begun.code,
            environment=begun.environment,
        )
        self._store.add(run)
        self._store.hear(run.id, every=0)
        self._writer.link(run)
        self._writer.write(run.id, told)
        self._facts.append("tidegate.runs.started", run.id, experiment=run.experiment)
        return self.get(run.id)

    def _take_in(self, run_id: str, entries: Iterable[Entry], *, begun: bool) -> None:
        held = self._store.hold(run_id)
        if begun and held is None:
            raise NotFound(f"run {run_id} was uploaded, and has been purged since: it does not come back")
        if not begun and held is not None:
            raise Conflict(f"run {run_id} was not made by an upload, and takes no journal", run_id=run_id)
        for entry in entries:
            self._take(run_id, entry)

    def _take(self, run_id: str, entry: Entry) -> None:
        told = Told(entry.params, entry.metrics, entry.tags, self._inputs(entry.inputs), (), entry.artifacts)
        if entry.begun is None:
            self._require_open(run_id, late=True)
            self._writer.write(run_id, told)
        else:
            self._begin(run_id, entry.begun, told)
            absent = [digest for digest in entry.digests() if not self._objects.exists(digest)]
            if absent:
                raise Invalid(f"run {run_id}: object {absent[0]} is not stored: put it first", digest=absent[0])
        if entry.ended is not None and self.get(run_id).status not in ENDED:
            self.finish(run_id, status=entry.ended.status, error=entry.ended.error, ended_at=entry.ended.at)

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
