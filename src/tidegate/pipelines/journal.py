"""The journal of runs: every move of a run is one transaction with its facts, and only the latest process makes any."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.errors import Conflict, NotFound
from tidegate.pipelines import rules
from tidegate.pipelines.records import Journaled, Pipeline, PipelineRun

T = TypeVar("T")
Fence = Callable[[Any], None]
Move = Callable[[PipelineRun, datetime], PipelineRun]


class RunStore(Protocol):
    """Where runs are kept."""

    def write(self, work: Callable[[], T], fence: Fence | None = None) -> T:
        """Run a function inside one write transaction, which no other one that moves a run overlaps."""
        ...

    def find(self, run_id: str) -> Journaled | None:
        """The run of this id."""
        ...

    def active(self) -> list[Journaled]:
        """Every run that has not ended, the oldest first."""
        ...

    def registered(self) -> int:
        """How many versions there are, of all pipelines."""
        ...

    def latest(self) -> Pipeline | None:
        """The version that was registered last, of any pipeline."""
        ...

    def keep(self, kept: Journaled) -> None:
        """Write a run as it is now, inside the ambient transaction."""
        ...


class EventLog(Facts, Protocol):
    """Where facts go, and how many there are."""

    def last_position(self) -> int:
        """The position of the newest event."""
        ...


class Journal:
    """Moves runs on.

    Laws:

    1. **One transaction.** A step's output, the move to the next step and the fact of it are written together.
    2. **The latest process only.** Whoever takes a run up gets a new term; a process of an older term, and one whose
       run was cancelled, can write nothing more: `Conflict`.
    3. **At least once.** A step that was cut off is begun again, `rules.MOST_ATTEMPTS` times in all; one that is done
       is never begun again.
    """

    def __init__(self, *, store: RunStore, events: EventLog, clock: BusinessClock) -> None:
        self._store = store
        self._events = events
        self._clock = clock

    def get(self, run_id: str) -> Journaled:
        """The run of this id. Raises `NotFound`."""
        kept = self._store.find(run_id)
        if kept is None:
            raise NotFound(f"there is no run {run_id} of a pipeline; 'tidegate pipelines runs NAME' lists them")
        return kept

    def latest(self) -> Pipeline | None:
        """The version that was registered last, of any pipeline."""
        return self._store.latest()

    def registered(self) -> int:
        """How many versions there are, of all pipelines."""
        return self._store.registered()

    def due(self) -> Journaled | None:
        """The oldest run that wants a process now."""
        active = self._store.active()
        if not active:
            return None
        now, newest = self._clock.now(), self._events.last_position()
        return next((kept for kept in active if rules.is_due(kept, now, newest)), None)

    def take_up(self, run_id: str, fence: Fence) -> Journaled:
        """A new term for the run, whose step is begun (again). It fails instead where it was cut off too often."""

        def work() -> Journaled:
            kept = self.get(run_id)
            if kept.run.ended:
                return kept
            taken = self._keep(rules.begin(kept.run, self._clock.now()), kept.term + 1)
            if taken.run.state == "failed":
                self._tell_end(taken.run)
            return taken

        return self._store.write(work, fence)

    def done(self, run_id: str, term: int, step: str, output: dict[str, object]) -> PipelineRun:
        """The step that runs is done; the next one runs, or the run is done."""

        def work() -> PipelineRun:
            run = self._move(run_id, term, step, lambda run, now: rules.done(run, output, now))
            self._events.append("tidegate.pipelines.step_done", run.pipeline, run=run.id, step=step)
            if run.ended:
                self._events.append("tidegate.pipelines.finished", run.pipeline, run=run.id)
            return run

        return self._store.write(work)

    def wait(self, run_id: str, term: int, step: str, reason: str, until: datetime | None) -> PipelineRun:
        """The step that runs cannot go on yet. It is a fact once, however often the step is asked."""

        def work() -> PipelineRun:
            before = self.get(run_id).run.reason
            run = self._move(run_id, term, step, lambda run, now: rules.wait(run, reason, until, now))
            if run.reason != before:
                data = {"run": run.id, "step": step, "reason": run.reason}
                self._events.append("tidegate.pipelines.waiting", run.pipeline, **data)
            return self._keep(run, term).run

        return self._store.write(work)

    def fail(self, run_id: str, term: int, step: str, reason: str) -> PipelineRun:
        """The step that runs has failed, and the run with it."""

        def work() -> PipelineRun:
            run = self._move(run_id, term, step, lambda run, now: rules.fail(run, reason, now))
            self._tell_end(run)
            return run

        return self._store.write(work)

    def cancel(self, run_id: str, reason: str) -> PipelineRun:
        """The run ends, and its process can write nothing more. Raises `Conflict` when it has ended already."""

        def work() -> PipelineRun:
            kept = self.get(run_id)
            run = rules.cancel(kept.run, reason, self._clock.now())
            self._keep(run, kept.term + 1)
            self._tell_end(run)
            return run

        return self._store.write(work)

    def _move(self, run_id: str, term: int, step: str, move: Move) -> PipelineRun:
        kept = self.get(run_id)
        if kept.term != term:
            raise Conflict(
                f"run {run_id} was cancelled, or another process has taken it up (term {kept.term}, this one has "
                f"{term}); nothing was written"
            )
        if kept.run.ended or rules.current(kept.run).name != step:
            raise Conflict(f"step {step!r} of run {run_id} has ended already; nothing was written")
        return self._keep(move(kept.run, self._clock.now()), term).run

    def _keep(self, run: PipelineRun, term: int) -> Journaled:
        kept = Journaled(run, term, self._events.last_position())
        self._store.keep(kept)
        return kept

    def _tell_end(self, run: PipelineRun) -> None:
        step = next(step.name for step in run.steps if step.state == run.state)
        data = {"run": run.id, "step": step, "reason": run.reason}
        self._events.append(f"tidegate.pipelines.{run.state}", run.pipeline, **data)
