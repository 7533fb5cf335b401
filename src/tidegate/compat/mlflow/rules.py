"""What the protocol lets a client say: names, moments, views, pages. Pure; each raises `Invalid`, as MLflow does."""

import posixpath
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from tidegate.compat.mlflow import records
from tidegate.kernel.clock import from_micros
from tidegate.kernel.errors import Invalid
from tidegate.runs.records import Status

T = TypeVar("T")

MOST_LISTED: Final = 50_000
"""Runs or experiments of a page."""

MOST_SEARCHED: Final = 10_000
"""Experiments whose runs are searched at once."""

MOST_POINTS: Final = 25_000
"""Measurements of an answer."""

MOST_SAMPLED: Final = 2500
"""Measurements of a run in a sample of its history."""

MOST_COMPARED: Final = 100
"""Runs whose histories are asked for at once."""

VIEWS: Final[dict[str, Literal["active", "deleted", "all"]]] = {
    "ACTIVE_ONLY": "active",
    "DELETED_ONLY": "deleted",
    "ALL": "all",
}
"""The lifecycle stages of a view type, in the order of the protocol's numbers for them (from 1)."""

STATUSES: Final[dict[str, Status]] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
"""The same of statuses."""

_KEY: Final = re.compile(r"[/\w.\- :]*")


def check_key(key: str, what: str) -> None:
    """A metric, a parameter or a tag is named as a file could be."""
    if not key:
        raise Invalid(f"Missing value for required parameter '{what}'", field=what)
    if not _KEY.fullmatch(key):
        raise Invalid(
            f"Invalid value {key[:80]!r} for parameter '{what}' supplied: names may only contain alphanumerics, "
            "underscores (_), dashes (-), periods (.), spaces ( ), colons (:) and slashes (/)",
            field=what,
        )
    plain = posixpath.normpath(key)
    if plain != key or plain == "." or plain.startswith(("..", "/")):
        raise Invalid(
            f"Invalid value {key[:80]!r} for parameter '{what}' supplied: it would name {plain[:80]!r} if it were a "
            "file: write that",
            field=what,
        )


def check_keys(pairs: Iterable[records.KeyValue], what: str) -> None:
    """The same of several."""
    for place, one in enumerate(pairs):
        check_key(one.key, f"{what}[{place}].key")


def texts(pairs: Iterable[records.KeyValue], most: int) -> dict[str, str]:
    """Parameters or tags. A text that is too long is cut, as MLflow's own server does: its clients rely on it."""
    return {one.key: one.value[:most] for one in pairs}


def check_page(max_results: int, most: int = MOST_LISTED) -> None:
    """A page has at least one entry and is not too large."""
    if not 1 <= max_results <= most:
        raise Invalid(f"max_results {max_results} lies not between 1 and {most:,}", field="max_results")


def one_of(known: Mapping[str, T], said: str | int, field: str) -> T:
    """What one of the protocol's constants stands for: its name, or its number."""
    names = list(known)
    name = names[said - 1] if isinstance(said, int) and 0 < said <= len(names) else said
    if name not in known:
        raise Invalid(f"{field} {str(said)[:40]!r} is none of {', '.join(names)}", field=field)
    return known[str(name)]


def moment_of(milliseconds: int | None, field: str) -> datetime | None:
    """A moment from the protocol."""
    try:
        return None if milliseconds is None else from_micros(milliseconds * 1000)
    except OverflowError as error:
        raise Invalid(f"{field} {milliseconds} is no moment in milliseconds since 1970", field=field) from error


def measured_at(milliseconds: int) -> datetime | None:
    """The moment of a measurement."""
    if milliseconds < 0:
        raise Invalid(f"timestamp {milliseconds} is negative: it is milliseconds since 1970", field="timestamp")
    return moment_of(milliseconds, "timestamp")


def steps_between(start: int | None, end: int | None) -> tuple[int | None, int | None]:
    """The two steps between which measurements are asked for: both or none."""
    if (start is None) != (end is None):
        raise Invalid("If either start step or end step are specified, both must be specified", field="start_step")
    if start is not None and end is not None and start > end:
        raise Invalid(f"end_step {end} is before start_step {start}", field="end_step")
    return start, end


def said(given: Mapping[str, Any], required: Iterable[str]) -> None:
    """What is required is there, and is no empty text."""
    absent = next((name for name in required if given.get(name) in (None, "")), None)
    if absent is not None:
        raise Invalid(f"Missing value for required parameter '{absent}'", field=absent)
