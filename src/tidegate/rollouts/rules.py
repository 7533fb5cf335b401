"""When a canary goes on, back, or takes over: the tests that watch it, and the state machine that they drive. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.endpoints.records import Strategy
from tidegate.rollouts.records import Evidence, Guard, Rollout, RolloutState, StepTaken
from tidegate.statistics import (
    HarmTest,
    NonInferiorityTest,
    PairedNonInferiorityTest,
    PairedTest,
    SequentialTest,
)

ROUTING_ALPHA = 1e-6
"""The chance of calling a true routing untrue, shared by its two directions.

Strict, since it ends a rollout that has done nothing wrong; a router that is truly broken is still soon found.
"""

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Split(NamedTuple):
    """Rows that could have gone either way, in order."""

    canary: Flags
    """Whether the row was given to the canary."""
    event: Flags
    """Whether the answer failed, or was wrong."""
    weight: Floats
    """The canary's share at that row, between 0 and 1."""


class Pairs(NamedTuple):
    """Losses in [0, 1] on rows that both variants scored, in the order in which their labels came."""

    stable: Floats
    candidate: Floats


class News(NamedTuple):
    """What one step of the controller has to add to a rollout."""

    split: Split
    """An event is an answer that failed."""
    quality: Pairs | Split
    """Rows whose labels have come. On split traffic an event is a wrong answer."""
    rows: int
    """Rows that the canary scored."""
    rows_at_share: int
    """Those of them that were routed by the present share."""
    labels: int
    """Labels of rows that it scored."""


class Outlook(NamedTuple):
    """What is shown so far."""

    harm: str = ""
    """The claim that shows harm; empty while none does."""
    mismatch: str = ""
    """The claim that shows a routing other than wished."""
    not_worse: bool = False


class Guards(NamedTuple):
    """The tests of one rollout. Harm is watched by two of them, which share alpha."""

    errors: HarmTest
    quality: PairedTest | HarmTest
    not_worse: PairedNonInferiorityTest | NonInferiorityTest
    too_many: HarmTest
    too_few: HarmTest

    def state(self) -> dict[str, dict[str, Any]]:
        """All that they know."""
        return {name: test.state() for name, test in self._asdict().items()}


def new_guards(strategy: Strategy, *, paired: bool) -> Guards:
    """The tests of a rollout that begins.

    On the same rows harm begins where "not worse" ends, at the margin: days differ, so of two versions that are equal
    in the long run one is truly a little worse on the days seen, and a test without margin would find that.
    """
    half = strategy.alpha / 2
    return Guards(
        errors=HarmTest(half),
        quality=PairedTest(half, strategy.margin) if paired else HarmTest(half),
        not_worse=(
            PairedNonInferiorityTest(strategy.margin, strategy.alpha)
            if paired
            else NonInferiorityTest(strategy.ratio, strategy.alpha)
        ),
        too_many=HarmTest(ROUTING_ALPHA / 2),
        too_few=HarmTest(ROUTING_ALPHA / 2),
    )


def guards_of(states: Mapping[str, Mapping[str, Any]], *, paired: bool) -> Guards:
    """The tests that go on where `Guards.state` was taken."""
    return Guards(
        errors=HarmTest.from_state(states["errors"]),
        quality=(PairedTest if paired else HarmTest).from_state(states["quality"]),
        not_worse=(PairedNonInferiorityTest if paired else NonInferiorityTest).from_state(states["not_worse"]),
        too_many=HarmTest.from_state(states["too_many"]),
        too_few=HarmTest.from_state(states["too_few"]),
    )


def observe(guards: Guards, news: News) -> None:
    """Show the tests what is new."""
    canary, event, weight = news.split
    guards.errors.observe_many(canary=canary, event=event, weight=weight)
    # Every row is an event of having been routed: a true router gives the canary its share of them, no more, no less.
    every = np.ones(len(canary), np.bool_)
    guards.too_many.observe_many(canary=canary, event=every, weight=weight)
    guards.too_few.observe_many(canary=~canary, event=every, weight=1 - weight)
    for test in (guards.quality, guards.not_worse):
        # Pairs are symmetric: a label that comes late comes late for both variants, so rows are taken as labels come.
        # On split traffic they are too, which is sound as long as labels of both variants take equally long.
        test.observe_many(**news.quality._asdict())


def outlook(guards: Guards) -> Outlook:
    """What the tests have shown."""
    harm = [claim_of(name, test) for name, test in _named(guards, "errors", "quality") if test.decision == "stop"]
    routed = [claim_of(name, test) for name, test in _named(guards, "too_many", "too_few") if test.decision == "stop"]
    return Outlook("; ".join(harm), "; ".join(routed), guards.not_worse.decision == "stop")


def evidence_of(guards: Guards) -> tuple[Evidence, ...]:
    """The tests as they are shown to people."""
    return tuple(_evidence(name, test) for name, test in _named(guards, *Guards._fields))


def counted(rollout: Rollout, news: News) -> Rollout:
    """The rollout with the new rows and labels."""
    step = rollout.steps[-1]
    seen = msgspec.structs.replace(step, rows=step.rows + news.rows_at_share, labels=step.labels + news.labels)
    return msgspec.structs.replace(
        rollout,
        rows=rollout.rows + news.rows,
        labels=rollout.labels + news.labels,
        steps=(*rollout.steps[:-1], seen),
    )


def advance(rollout: Rollout, seen: Outlook, now: datetime) -> Rollout:
    """The rollout after one look.

    Laws:

    1. **Final.** What is decided stays as it is.
    2. **Harm first.** Harm that is shown rolls back at once, whatever else is shown.
    3. **One at a time.** A step follows the one before it, once that has seen its rows and labels.
    4. **Shown.** Nothing is promoted that is not shown to be not worse. Split traffic tells nothing at 100 %, so there
       it must be shown before that step.
    5. **Bounded.** After its longest duration a rollout is decided.
    6. **Patient.** Nothing is promoted before its least duration, in which it may still be shown to do harm.
    """
    if rollout.state != "running":
        return rollout
    if seen.harm:
        return decided(rollout, "rolled_back", f"harm is shown: {seen.harm}", now)
    if seen.mismatch:
        return decided(rollout, "inconclusive", f"the routing is not what it should be: {seen.mismatch}", now)
    step, missing = rollout.steps[-1], _missing(rollout, now)
    if rollout.share == 100 and seen.not_worse and not missing:
        return decided(rollout, "promoted", f"shown not to be worse: {_margin(rollout)}", now)
    following = next((share for share in rollout.strategy.steps if share > step.share), None)
    if not seen.not_worse and (following is None or (following == 100 and not rollout.paired)):
        missing.append(f"evidence that it is not worse ({_margin(rollout)})")
    waits = f"at {step.share:g} % it waits for {' and '.join(missing)}"
    if now - rollout.started_at >= timedelta(days=rollout.strategy.days):
        late = f"nothing is shown within {rollout.strategy.days:g} days"
        return decided(rollout, "inconclusive", f"{late}; {waits}" if missing else late, now)
    if missing or following is None:
        return msgspec.structs.replace(rollout, reason=waits)
    taken = (*rollout.steps, StepTaken(share=following, since=now))
    return msgspec.structs.replace(rollout, steps=taken, reason=f"at {following:g} % since {now.isoformat()}")


def decided(rollout: Rollout, state: RolloutState, reason: str, now: datetime) -> Rollout:
    """The rollout at its end."""
    days = (now - rollout.started_at) / timedelta(days=1)
    return msgspec.structs.replace(rollout, state=state, reason=reason, decided_at=now, days=days)


def claim_of(guard: Guard, test: SequentialTest) -> str:
    """What a test shows once it says stop."""
    if guard == "errors":
        return "answers of the canary fail more often than stable's"
    if guard == "too_many":
        return "the canary was given more rows than its share"
    if guard == "too_few":
        return "the canary was given fewer rows than its share"
    if isinstance(test, PairedTest | PairedNonInferiorityTest):
        if guard == "quality":
            return f"on the same rows, the canary's mean loss is more than {test.margin:g} above stable's"
        return f"on the same rows, the canary's mean loss is less than {test.margin:g} above stable's"
    if isinstance(test, NonInferiorityTest):
        return f"the canary's rate of wrong answers is below {test.ratio:g} times stable's"
    return "answers of the canary are wrong more often than stable's"


def _missing(rollout: Rollout, now: datetime) -> list[str]:
    """What the present step has not seen yet."""
    step, asked = rollout.steps[-1], rollout.strategy
    seen = ((step.rows, asked.rows, "rows"), (step.labels, asked.labels, "labels"))
    missing = [f"{least - count:,} more {what}" for count, least, what in seen if count < least]
    early = timedelta(days=asked.least_days) - (now - rollout.started_at)
    if step.share == 100 and early > timedelta():
        missing.append(f"{early / timedelta(days=1):.1f} more days")
    return missing


def _margin(rollout: Rollout) -> str:
    if rollout.paired:
        return f"by less than {rollout.strategy.margin:g} in the mean loss on the same rows"
    return f"by less than {rollout.strategy.ratio:g} times the rate of wrong answers"


def _named(guards: Guards, *names: Guard | str) -> list[tuple[Any, SequentialTest]]:
    return [(name, getattr(guards, name)) for name in names]


def _evidence(guard: Guard, test: SequentialTest) -> Evidence:
    common = Evidence(
        guard=guard,
        test=test.name,
        claim=claim_of(guard, test),
        alpha=test.alpha,
        evidence=test.evidence,
        threshold=test.threshold,
        shown=test.decision == "stop",
        rows=test.n,
        shown_at=test.decided_at,
    )
    if isinstance(test, PairedTest | PairedNonInferiorityTest):
        return msgspec.structs.replace(common, mean_difference=test.mean_difference if test.n else None)
    if isinstance(test, HarmTest | NonInferiorityTest):
        return msgspec.structs.replace(
            common, events=test.events, canary_rows=test.canary_n, canary_events=test.canary_events
        )
    return common
