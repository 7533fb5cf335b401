"""Works through the steps of a run, in the process that was made for it."""

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.context import Call, current
from tidegate.kernel.errors import Invalid, TidegateError
from tidegate.pipelines import rules
from tidegate.pipelines.journal import Journal
from tidegate.pipelines.records import PipelineRun, Wait

log = logging.getLogger("tidegate.pipelines")


class StepContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a step is called with: `function(context)`.

    A step returns a dict of JSON values, its output; or a `Wait`, when it cannot go on yet; or raises, which fails the
    run. Its process may be killed anywhere, and then the step is begun again: it must come to the same end. Make each
    effect repeatable, with `once` or with `key`.
    """

    workspace: Any
    """The home (a `tidegate.workspace.Workspace`), opened as the person who started the run."""
    params: dict[str, Any]
    outputs: dict[str, dict[str, Any]]
    """What the earlier steps returned, by their names."""
    run_id: str
    step: str
    key: str
    """A name of this step of this run, the same however often it is begun."""
    started_at: datetime
    """Business time at which the run was started, the same however often a step is begun: read data as of it."""
    now: datetime
    """Business time at which the step was begun or asked this time."""

    @contextlib.contextmanager
    def once(self, effect: str) -> Iterator[None]:
        """Calls one operation under an idempotency key: begun again, the step gets the answer of the first time.

        `effect` names the operation within the step. One block holds one operation that changes something.
        """
        call = current.get()
        actor = call.actor if call is not None else ""
        token = current.set(Call(actor=actor, request_id=self.run_id, idempotency_key=f"{self.key}/{effect}"))
        try:
            yield
        finally:
            current.reset(token)


StepFunction = Callable[[StepContext], dict[str, Any] | Wait]


def run_steps(workspace: Any, journal: Journal, run_id: str, term: int, clock: BusinessClock) -> PipelineRun:
    """Run consecutive steps until one waits, fails, or the run is done; returns the run as it is then.

    Raises `Conflict` when the run was cancelled or another process has taken it up.
    """
    run = journal.get(run_id).run
    token = current.set(Call(actor=run.by, request_id=run.id))
    try:
        while run.state == "running":
            run = _run_step(workspace, journal, run, term, clock)
    finally:
        current.reset(token)
    return run


def _run_step(workspace: Any, journal: Journal, run: PipelineRun, term: int, clock: BusinessClock) -> PipelineRun:
    step = rules.current(run)
    context = StepContext(
        workspace=workspace,
        params=run.params,
        outputs=run.outputs,
        run_id=run.id,
        step=step.name,
        key=f"{run.id}/{step.name}",
        started_at=run.started_at,
        now=clock.now(),
    )
    try:
        answer = _function(step.function)(context)
        output = {} if isinstance(answer, Wait) else rules.check_json(answer, "the step's output", "output")
    except TidegateError as error:
        return journal.fail(run.id, term, step.name, f"step {step.name!r} failed: {error.message}")
    except Exception as error:
        log.exception("step %s of run %s of %s raised", step.name, run.id, run.pipeline)
        return journal.fail(run.id, term, step.name, f"step {step.name!r} raised {type(error).__name__}: {error}")
    if isinstance(answer, Wait):
        return journal.wait(run.id, term, step.name, answer.reason, answer.until)
    return journal.done(run.id, term, step.name, output)


def load(functions: Iterable[str]) -> None:
    """Import what these functions are in, as far as that goes; the run tells of what does not."""
    for name in functions:
        with contextlib.suppress(Exception):
            _function(name)


def _function(name: str) -> StepFunction:
    module, _, function = name.partition(":")
    try:
        found: StepFunction = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        raise Invalid(
            f"{name} cannot be imported ({error}): install its package beside Tidegate, or start the server where it is"
        ) from error
    except AttributeError as error:
        raise Invalid(f"{module} has no function {function!r}: register the pipeline anew with its name") from error
    return found
