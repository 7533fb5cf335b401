"""Pure rules of serving: how many rows, which instants, which labels."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tidegate.endpoints.records import Deployment, Endpoint, OutcomeIn, Strategy, Variant
from tidegate.kernel.clock import EARLIEST, LATEST, business_time, to_micros
from tidegate.kernel.errors import Invalid, Refused
from tidegate.kernel.ids import parse_id
from tidegate.models.records import PYFUNC, ModelVersion
from tidegate.models.signature import Label

_ID = re.compile(r"[0-9a-f]{32}")
_OURS = re.compile(r"([0-9a-f]{12})7[0-9a-f]{3}[89ab][0-9a-f]{15}")
"""An id as `kernel.ids` makes them, and its milliseconds."""

MAX_ROWS = 10_000
"""Most rows, or labels, of one call."""

MOST_SHADOWS = 4
"""Each of them scores every row."""

MOST_STEPS = 20

SKEW = timedelta(seconds=5)
"""How far ahead the clock of another machine, which made an id, may be."""


def check_strategy(strategy: Strategy) -> Strategy:
    """The strategy, if a canary's steps and limits make sense. Raises `Invalid` naming the field."""
    if strategy.kind == "canary":
        _check_steps(strategy.steps)
        for name, low, high, why in _BOUNDS:
            value = getattr(strategy, name)
            if not low <= value <= high:
                raise _amiss(name, f"{value:g} is outside {low:g} to {high:g}: {why}")
        if strategy.least_days > strategy.days:
            most = f"the {strategy.days:g} days after which the canary is inconclusive"
            raise _amiss("least_days", f"{strategy.least_days:g} days are more than {most}")
    elif strategy.steps:
        raise _amiss("steps", f"only a canary takes steps, {strategy.kind} does not")
    return strategy


_BOUNDS = (
    ("alpha", 0.0001, 0.5, "it is the chance of deciding wrongly, such as 0.05"),
    ("margin", 0.0001, 0.5, "a mean loss that is higher by it still counts as not worse, such as 0.01"),
    ("ratio", 1.01, 10, "a rate of so many times stable's still counts as not worse, such as 1.4"),
    ("rows", 1, 10_000_000, "the canary scores at least so many rows at each step"),
    ("labels", 1, 10_000_000, "without labels nobody can show that a canary is not worse"),
    ("least_days", 0, 366, "nothing is promoted sooner; 7 sees a whole week"),
    ("days", 0.001, 366, "after so many days of business time the canary is inconclusive"),
)


def _check_steps(steps: Sequence[float]) -> None:
    if not 1 <= len(steps) <= MOST_STEPS:
        raise _amiss("steps", f"a canary takes 1 to {MOST_STEPS} steps, got {len(steps)}: such as [5, 25, 50, 100]")
    for before, step in zip((0.0, *steps), steps, strict=False):
        if not 0 < step <= 100:
            raise _amiss("steps", f"{step:g} is no percentage above 0 and up to 100")
        if not step > before:
            raise _amiss("steps", f"{step:g} does not come after {before:g}: each step is greater than the last")
    if steps[-1] != 100:
        raise _amiss("steps", f"the last step is {steps[-1]:g}: it must be 100, where a canary is promoted")


def _amiss(field: str, what: str) -> Invalid:
    return Invalid(f"strategy, {field}: {what}", field=f"strategy.{field}")


def deployed_already(endpoint: Endpoint | None, digest: str, strategy: Strategy) -> Deployment | None:
    """The live deployment that is what is wished: of the same version, in the same part."""
    if endpoint is None or endpoint.live is None:
        return None
    if strategy.kind == "shadow":
        return next((one for one in endpoint.shadows if one.digest == digest), None)
    canary = endpoint.canary
    if canary is not None and canary.digest == digest and canary.strategy == strategy:
        return canary
    return endpoint.live if endpoint.live.digest == digest and canary is None else None


def first_variant(endpoint: Endpoint | None, strategy: Strategy) -> Variant:
    """The part in which a deployment begins."""
    if endpoint is None or endpoint.live is None or strategy.kind == "all_at_once":
        return "stable"
    return strategy.kind


def check_deployable(
    name: str, endpoint: Endpoint | None, version: ModelVersion, strategy: Strategy, outcome_independent: bool | None
) -> None:
    """Raise `Refused` where this version cannot come beside, or instead of, what is live; it says what to do."""
    if endpoint is not None and endpoint.task != version.signature.task:
        raise Refused(
            f"endpoint {name} answers a {endpoint.task} and {version.reference} is a {version.signature.task}: its "
            "labels would mix; deploy it behind another endpoint",
            endpoint=name,
            version=version.reference,
        )
    if strategy.kind == "shadow" and version.runtime == PYFUNC:
        raise Refused(
            f"{version.reference} runs in a process of its own, which may hold up the answers that a shadow stands "
            "beside: deploy it as a canary or all at once",
            version=version.reference,
        )
    if endpoint is None or endpoint.live is None:
        if strategy.kind == "shadow":
            raise Refused(f"nothing is live behind endpoint {name}: a shadow never answers; deploy a version first")
        return
    declared = endpoint.outcome_independent if outcome_independent is None else outcome_independent
    if endpoint.canary is not None and (strategy.kind != "shadow" or declared != endpoint.outcome_independent):
        raise Refused(
            f"{endpoint.canary.version} is being rolled out behind endpoint {name}: wait for its decision, or take "
            f"it back with 'tidegate endpoints withdraw {name} --deployment {endpoint.canary.version}'",
            endpoint=name,
            canary=endpoint.canary.version,
        )
    if strategy.kind == "canary":
        _check_judgeable(version, strategy, outcome_independent=declared)
    if strategy.kind == "shadow" and len(endpoint.shadows) >= MOST_SHADOWS:
        raise Refused(
            f"endpoint {name} has {MOST_SHADOWS} shadows already, each of which scores every row: withdraw one first",
            endpoint=name,
        )


def _check_judgeable(version: ModelVersion, strategy: Strategy, *, outcome_independent: bool) -> None:
    if version.signature.task == "regression":
        raise Refused(
            f"{version.reference} is a regression, whose errors have no bound that a canary could be judged by: deploy "
            "it as a shadow, compare what was logged, and then deploy it all at once",
            version=version.reference,
        )
    if len(strategy.steps) == 1 and not outcome_independent:
        raise Refused(
            "split traffic shows nothing at 100 %: give the canary a step below 100, or declare the endpoint outcome "
            "independent where that is so, and both variants are compared on the same rows",
            version=version.reference,
        )


def check_count(count: int, what: str) -> None:
    """Raise `Invalid` unless there are 1 to `MAX_ROWS`."""
    if not 1 <= count <= MAX_ROWS:
        raise Invalid(f"{what}: one call takes 1 to {MAX_ROWS:,}, got {count:,}", field=what)


def moments_of(at: Sequence[datetime], rows: int, now: datetime) -> list[int]:
    """The instants in microseconds. Raises `Invalid` unless there is one a row, a business time not later than now."""
    if len(at) != rows:
        raise Invalid(f"at: expected one instant a row ({rows:,}), got {len(at):,}", field="at")
    if {moment.tzinfo for moment in at} == {UTC} and min(at) >= EARLIEST and max(at) <= min(now, LATEST):
        return list(map(to_micros, at))
    for index, moment in enumerate(at):
        if moment > now:
            raise Invalid(
                f"at[{index}]: {moment.isoformat()} is in the future; business time is {now.isoformat()}",
                field=f"at[{index}]",
            )
    return [to_micros(business_time(moment, f"at[{index}]")) for index, moment in enumerate(at)]


def spelling(label: Label) -> str:
    """A class as the key of a JSON object: text as it is, everything else as JSON spells it."""
    return label if isinstance(label, str) else json.dumps(label)


def canonical_classes(classes: Sequence[Label]) -> dict[Label, Label]:
    """Each class by whatever equals it: 1 finds True where the model's class is True."""
    return {label: label for label in classes}


def check_outcomes(outcomes: Sequence[OutcomeIn], classes: Mapping[Label, Label], now: datetime) -> list[Label]:
    """What `check_outcome` says of each: at once where it is plainly sound."""
    latest = f"{to_micros(now + SKEW) // 1000:012x}"
    return [
        classes[one.value]
        if one.value in classes
        and (ours := _OURS.fullmatch(one.prediction_id))
        and ours[1] <= latest
        and one.observed_at <= now
        else check_outcome(index, one, classes, now)
        for index, one in enumerate(outcomes)
    ]


def check_outcome(index: int, outcome: OutcomeIn, classes: Mapping[Label, Label], now: datetime) -> Label:
    """The label's value as the model spells it. ``classes`` is empty for a regression.

    Raises `Invalid` naming the field: a malformed id or one from the future, an instant from the future, a value
    that is none of the classes or, for a regression, no finite number.
    """
    where = f"labels[{index}]"
    _check_id(f"{where}.prediction_id", outcome.prediction_id, now)
    if outcome.observed_at > now:
        raise Invalid(
            f"{where}.observed_at: {outcome.observed_at.isoformat()} is in the future; "
            f"business time is {now.isoformat()}",
            field=f"{where}.observed_at",
        )
    return _value(f"{where}.value", outcome.value, classes)


def _check_id(where: str, prediction_id: str, now: datetime) -> None:
    if not _ID.fullmatch(prediction_id):
        raise Invalid(f"{where}: {_shown(prediction_id)} is no id: predict answered 32 hex digits", field=where)
    try:
        born = parse_id(prediction_id, where).at
    except Invalid as error:
        raise Invalid(error.message, field=where) from error
    except OverflowError as error:  # a time that no calendar holds
        raise Invalid(f"{where}: {prediction_id} is from the future", field=where) from error
    if born > now + SKEW:
        raise Invalid(
            f"{where}: {prediction_id} is from the future ({born.isoformat()}); business time is {now.isoformat()}",
            field=where,
        )


def _value(where: str, value: Label, classes: Mapping[Label, Label]) -> Label:
    if not classes:
        if isinstance(value, str | bool) or not math.isfinite(value):
            raise Invalid(f"{where}: expected a finite number, got {_shown(value)}", field=where)
        return value
    if value not in classes:
        listed = ", ".join(_shown(label) for label in list(classes)[:8])
        more = f" and {len(classes) - 8:,} more" if len(classes) > 8 else ""
        raise Invalid(f"{where}: expected one of {listed}{more}, got {_shown(value)}", field=where)
    return classes[value]


def _shown(value: Label) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 64 else text[:63] + "…"
