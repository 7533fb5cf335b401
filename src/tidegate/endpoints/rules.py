"""Pure rules of serving: how many rows, which instants, which labels."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tidegate.endpoints.records import OutcomeIn
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Invalid
from tidegate.kernel.ids import parse_id
from tidegate.models.signature import Label

_ID = re.compile(r"[0-9a-f]{32}")

MAX_ROWS = 10_000
"""Most rows, or labels, of one call."""

SKEW = timedelta(seconds=5)
"""How far ahead the clock of another machine, which made an id, may be."""


def check_count(count: int, what: str) -> None:
    """Raise `Invalid` unless there are 1 to `MAX_ROWS`."""
    if not 1 <= count <= MAX_ROWS:
        raise Invalid(f"{what}: one call takes 1 to {MAX_ROWS:,}, got {count:,}", field=what)


def moments_of(at: Sequence[datetime], rows: int, now: datetime) -> list[int]:
    """The instants in microseconds. Raises `Invalid` unless there is one a row, none of them later than now."""
    if len(at) != rows:
        raise Invalid(f"at: expected one instant a row ({rows:,}), got {len(at):,}", field="at")
    for index, moment in enumerate(at):
        if moment > now:
            raise Invalid(
                f"at[{index}]: {moment.isoformat()} is in the future; business time is {now.isoformat()}",
                field=f"at[{index}]",
            )
    return [to_micros(moment, f"at[{index}]") for index, moment in enumerate(at)]


def spelling(label: Label) -> str:
    """A class as the key of a JSON object: text as it is, everything else as JSON spells it."""
    return label if isinstance(label, str) else json.dumps(label)


def canonical_classes(classes: Sequence[Label]) -> dict[Label, Label]:
    """Each class by whatever equals it: 1 finds True where the model's class is True."""
    return {label: label for label in classes}


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
