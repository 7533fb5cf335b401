"""The rules of pipelines, as pure functions: what a step may be called, may return, and how a run moves on."""

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import blake3
import msgspec

from tidegate.kernel.errors import Conflict, Invalid
from tidegate.pipelines.records import Journaled, PipelineRun, PipelineStep

MOST_STEPS: Final = 100
MOST_ATTEMPTS: Final = 3
"""So often a step is begun whose process dies each time."""

LARGEST: Final = 65_536
"""Bytes of JSON of a run's parameters, and of one step's output: bytes and tables go by reference."""

DEEPEST: Final = 32
KEY_LENGTH: Final = 128
ASK_AGAIN: Final = timedelta(minutes=1)
REASON_LENGTH: Final = 4000

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def check_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """The steps of a pipeline, if they are some. Raises `Invalid` naming the one that is none."""
    if not 1 <= len(steps) <= MOST_STEPS:
        raise Invalid(f"a pipeline has 1 to {MOST_STEPS} steps, {len(steps)} given", field="steps")
    seen: dict[str, str] = {}
    for function in steps:
        if len(function) > 256 or not _FUNCTION.fullmatch(function):
            raise Invalid(f"step {function[:100]!r} is not a function: write 'package.module:function'", field="steps")
        other = seen.setdefault(step_name(function), function)
        if other is not function:
            raise Invalid(
                f"two steps are called {step_name(function)!r} ({other} and {function}); a step's output is found by "
                "its name: give one of the functions another",
                field="steps",
            )
    return tuple(steps)


def step_name(function: str) -> str:
    """What a step is called: the name of its function."""
    return function.rpartition(":")[2]


def steps_digest(steps: Sequence[str]) -> str:
    """The BLAKE3 digest of these steps in their order, as 64 hex digits."""
    return blake3.blake3(msgspec.json.encode(list(steps))).hexdigest()


def check_key(key: str) -> str:
    """The key of a run, if it is one. Raises `Invalid`."""
    if not 1 <= len(key) <= KEY_LENGTH or not key.isprintable():
        raise Invalid(
            f"key {key[:140]!r}: give 1 to {KEY_LENGTH} printable characters that name this very run, such as "
            "'late-arrival 2013-07-01'; the same key never makes a second run",
            field="key",
        )
    return key


def check_json(value: object, what: str, field: str) -> dict[str, object]:
    """The object as JSON will give it back (tuples become lists). Raises `Invalid` for what JSON cannot keep."""
    if not isinstance(value, dict):
        raise Invalid(f"{what} is {_article(value)}, and must be a dict of JSON values", field=field)
    found: dict[str, object] = _plain(value, what, field, 0)
    try:
        size = len(msgspec.json.encode(found))
    except UnicodeEncodeError as error:
        raise Invalid(f"{what} holds text that is not valid Unicode: {error}", field=field) from error
    if size > LARGEST:
        raise Invalid(
            f"{what} takes {size:,} bytes of JSON, at most {LARGEST:,}: keep bytes and tables as objects, datasets or "
            "artifacts, and hand on their references",
            field=field,
        )
    return found


def _plain(value: object, what: str, place: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise Invalid(f"{what} is nested more than {DEEPEST} deep", field=place)
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise Invalid(f"{what} has the key {name!r}: keys are text", field=place)
        return {name: _plain(each, what, f"{place}.{name}", depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, what, place, depth + 1) for each in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise Invalid(f"{what} holds {_article(value)} ({place}), which JSON cannot keep: give it as text", field=place)


def _article(value: object) -> str:
    shown = repr(value) if isinstance(value, int | float) else type(value).__name__
    return f"the value {shown[:60]}" if isinstance(value, int | float) else f"a {shown}"


def is_due(kept: Journaled, now: datetime, newest: int) -> bool:
    """Whether a run that has not ended wants a process, at `now`, `newest` being the last event's position."""
    run = kept.run
    if run.ended:
        return False
    if run.state != "waiting" or run.asked_at is None:
        return True
    if run.wait_until is not None:
        return now >= run.wait_until
    return newest > kept.heard or now >= run.asked_at + ASK_AGAIN


def current(run: PipelineRun) -> PipelineStep:
    """The step that a run has come to. It has one as long as it has not ended."""
    return next(step for step in run.steps if step.state != "done")


def begin(run: PipelineRun, now: datetime) -> PipelineRun:
    """A process takes the run up where it is. A step that was cut off too often fails the run instead."""
    step = current(run)
    if step.state == "running" and step.attempts >= MOST_ATTEMPTS:
        return fail(
            run,
            f"step {step.name!r} was begun {step.attempts} times, and each time its process ended before the step did: "
            "look for what ends it (memory, a crash in a library), then start a new run under another key",
            now,
        )
    started = step.started_at or now
    running = msgspec.structs.replace(step, state="running", attempts=step.attempts + 1, started_at=started)
    return _with(run, running, state="running", asked_at=None, wait_until=None)


def done(run: PipelineRun, output: dict[str, object], now: datetime) -> PipelineRun:
    """The step that runs is done with this output; the next one runs, or the run is done."""
    step = _running(run)
    run = _with(run, msgspec.structs.replace(step, state="done", output=output, ended_at=now), reason="")
    if all(each.state == "done" for each in run.steps):
        return msgspec.structs.replace(run, state="done", ended_at=now)
    return begin(run, now)


def wait(run: PipelineRun, reason: str, until: datetime | None, now: datetime) -> PipelineRun:
    """The step that runs cannot go on yet."""
    step = msgspec.structs.replace(_running(run), state="waiting", attempts=0)
    return _with(run, step, state="waiting", reason=_clip(reason), asked_at=now, wait_until=until)


def fail(run: PipelineRun, reason: str, now: datetime) -> PipelineRun:
    """The run ends at the step that it has come to."""
    return _end(run, "failed", reason, now)


def cancel(run: PipelineRun, reason: str, now: datetime) -> PipelineRun:
    """The run ends because somebody wants it to. Raises `Conflict` when it has ended."""
    if run.ended:
        raise Conflict(
            f"run {run.id} of {run.pipeline} has ended already ({run.state}): there is nothing to cancel",
            run=run.id,
            state=run.state,
        )
    return _end(run, "cancelled", reason, now)


def _end(run: PipelineRun, state: Any, reason: str, now: datetime) -> PipelineRun:
    step = msgspec.structs.replace(current(run), state=state, ended_at=now)
    return _with(run, step, state=state, reason=_clip(reason), ended_at=now, asked_at=None, wait_until=None)


def _running(run: PipelineRun) -> PipelineStep:
    step = None if run.ended else current(run)
    if step is None or step.state != "running":
        raise Conflict(f"run {run.id} of {run.pipeline} is {run.state}: no step of it runs", run=run.id)
    return step


def _with(run: PipelineRun, step: PipelineStep, **changes: Any) -> PipelineRun:
    steps = tuple(step if each.name == step.name else each for each in run.steps)
    return msgspec.structs.replace(run, steps=steps, **changes)


def _clip(text: str) -> str:
    return text if len(text) <= REASON_LENGTH else text[: REASON_LENGTH - 1] + "…"
