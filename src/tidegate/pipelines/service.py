"""The operations of pipelines."""

from typing import Protocol

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.kernel.ids import IdFactory, parse_id
from tidegate.kernel.names import check_name
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.pipelines import rules
from tidegate.pipelines.journal import Journal, RunStore
from tidegate.pipelines.records import Pipeline, PipelineRun, PipelineStep, State


class PipelineStore(RunStore, Protocol):
    """What the operations ask of the catalog."""

    def newest(self, name: str) -> Pipeline | None:
        """The newest version of a pipeline."""
        ...

    def version(self, name: str, number: int) -> Pipeline | None:
        """One version of a pipeline."""
        ...

    def all(self, after: str, limit: int) -> list[Pipeline]:
        """The newest version of each pipeline whose name comes after this one, by name."""
        ...

    def add(self, pipeline: Pipeline) -> None:
        """Keep a version."""
        ...

    def add_run(self, run: PipelineRun) -> None:
        """Keep a new run, inside the ambient transaction."""
        ...

    def by_key(self, pipeline: str, key: str) -> PipelineRun | None:
        """The run of a pipeline that was started under this key."""
        ...

    def page(self, pipeline: str, state: str, before: str, limit: int) -> list[PipelineRun]:
        """Runs of a pipeline, the newest first: in a state where one is given, with a smaller id than `before`."""
        ...


class Pipelines(Service):
    """Pipelines: functions in order, each journaled, so that a killed run goes on where it was."""

    room = "pipelines"

    def __init__(
        self, *, store: PipelineStore, journal: Journal, clock: BusinessClock, ids: IdFactory, facts: Facts
    ) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._facts = facts

    @operation("POST /pipelines/{name}/versions", role="maintainer", audit="change")
    def register(self, name: str, *, steps: tuple[str, ...]) -> Pipeline:
        """Say which functions a pipeline runs, in order.

        Each is written `package.module:function` and named by its function. They are imported where a run works
        through them, not here. The steps of the newest version again are that version.
        """
        if check_name(name, "pipeline") == "runs":
            raise Invalid("a pipeline cannot be called 'runs', which is where runs are found", field="name")
        digest = rules.steps_digest(rules.check_steps(steps))
        return self._store.write(lambda: self._register(name, steps, digest))

    @operation("GET /pipelines/{name}", role="viewer", audit="none")
    def get(self, name: str, *, number: int | None = None) -> Pipeline:
        """One version of a pipeline; the newest unless a number is given."""
        check_name(name, "pipeline")
        if number is None:
            return self._known(name)
        if not 1 <= number < 2**31 or (found := self._store.version(name, number)) is None:
            raise NotFound(f"pipeline {name!r} has no version {number}; the newest is {self._known(name).reference}")
        return found

    @operation("GET /pipelines", role="viewer", audit="none")
    def list(self, *, limit: int = 100, cursor: str = "") -> Page[Pipeline]:
        """The newest version of each pipeline, by name."""
        (after,) = decode_cursor(cursor, (str,)) or ("",)
        found = self._store.all(after, page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].name) if len(found) > limit else None)

    @operation("POST /pipelines/{name}/runs", role="maintainer", audit="change")
    def start(self, name: str, *, key: str, params: dict[str, object] = {}) -> PipelineRun:  # noqa: B006 - never changed
        """Start a run of the newest version of a pipeline.

        It acts as who starts it, in a process of its own. `key` names this very run: under the same key there is never
        a second one, and the first is the answer.
        """
        check_name(name, "pipeline")
        rules.check_key(key)
        kept = rules.check_json(params, "params", "params")
        return self._store.write(lambda: self._start(name, key, kept))

    @operation("GET /pipelines/runs/{run_id}", role="viewer", audit="none")
    def get_run(self, run_id: str) -> PipelineRun:
        """One run: its state, and the state and output of each step."""
        parse_id(run_id, "run")
        return self._journal.get(run_id).run

    @operation("GET /pipelines/{name}/runs", role="viewer", audit="none")
    def runs(self, name: str, *, state: State | None = None, limit: int = 100, cursor: str = "") -> Page[PipelineRun]:
        """The runs of a pipeline, the newest first; in one state, where that is given."""
        self._known(check_name(name, "pipeline"))
        (before,) = decode_cursor(cursor, (str,)) or ("",)
        found = self._store.page(name, state or "", before, page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)

    @operation("POST /pipelines/runs/{run_id}/cancellation", role="maintainer", audit="change")
    def cancel(self, run_id: str, *, reason: str) -> PipelineRun:
        """End a run before it is done; what its steps did stays.

        Raises `Conflict` when it has ended already.
        """
        parse_id(run_id, "run")
        if not reason.strip():
            raise Invalid("say why the run is cancelled", field="reason")
        return self._journal.cancel(run_id, reason)

    def _register(self, name: str, steps: tuple[str, ...], digest: str) -> Pipeline:
        newest = self._store.newest(name)
        if newest is not None and newest.digest == digest:
            return newest
        made = Pipeline(
            name=name,
            number=1 if newest is None else newest.number + 1,
            digest=digest,
            steps=steps,
            registered_at=self._clock.now(),
            by=actor(),
        )
        self._store.add(made)
        self._facts.append("tidegate.pipelines.registered", name, number=made.number, digest=digest)
        return made

    def _start(self, name: str, key: str, params: dict[str, object]) -> PipelineRun:
        pipeline = self._known(name)
        known = self._store.by_key(name, key)
        if known is not None and known.params != params:
            raise Conflict(
                f"key {key!r} has started run {known.id} of {name} with other parameters: take another key",
                run=known.id,
            )
        if known is not None:
            return known
        now = self._clock.now()
        run = PipelineRun(
            id=self._ids.new(now),
            pipeline=name,
            number=pipeline.number,
            key=key,
            params=params,
            state="pending",
            steps=tuple(PipelineStep(name=rules.step_name(step), function=step) for step in pipeline.steps),
            started_at=now,
            by=actor(),
        )
        self._store.add_run(run)
        first = run.steps[0].name
        self._facts.append("tidegate.pipelines.started", name, run=run.id, step=first, reason="", key=key)
        return run

    def _known(self, name: str) -> Pipeline:
        pipeline = self._store.newest(name)
        if pipeline is None:
            raise NotFound(f"there is no pipeline {name!r}; 'tidegate pipelines register' makes one, 'list' names all")
        return pipeline
