"""How people write features: `tg.feature_view`, `tg.mean`, `tg.feature_service` and what they take."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from tidegate.features.expressions import AnyExpression, ColumnType, col, expression_of
from tidegate.features.records import Aggregate, Feature, FeatureService, FeatureView, Kind
from tidegate.kernel.errors import Invalid

Int64: Final[ColumnType] = "Int64"
Float64: Final[ColumnType] = "Float64"
Boolean: Final[ColumnType] = "Boolean"
Text: Final[ColumnType] = "Text"

Duration = str | timedelta
"""``"24h"``: a whole number of us, ms, s, m, h, d or w; or a timedelta."""

_UNITS: Final = {
    "us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6, "w": 7 * 86400 * 10**6,
}  # fmt: skip
_DURATION = re.compile(r"([0-9]{1,15}) ?(us|ms|s|m|h|d|w)\Z")


def duration(value: Duration, what: str = "duration") -> int:
    """Microseconds. Raises `Invalid` for what is no duration."""
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    match = _DURATION.match(str(value))
    if match is None:
        raise Invalid(f"{what} {str(value)[:40]!r} is no duration: write 90s, 15m, 24h, 7d or give a timedelta")
    return int(match[1]) * _UNITS[match[2]]


def feature_view(
    name: str,
    *,
    source: str,
    entity: str | Sequence[str],
    event_time: str | None = None,
    known_at: str | None = None,
    delay: Duration | None = None,
    ttl: Duration | None = None,
    features: Mapping[str, object],
) -> FeatureView:
    """Define features of one entity, computed from the dataset ``source``.

    ``event_time`` is the column that says when a row was true; without it the view is static. ``known_at`` is the
    column that says since when the row could be known, ``delay`` stands for it where there is none; with neither, a
    row counts as known at its event time. ``ttl`` is how long a state stays good. ``features`` are expressions
    (`tg.col`) or aggregates (`tg.mean`), by name. `ws.features.apply` checks all of it.
    """
    return FeatureView(
        name=name,
        source=source,
        entity=(entity,) if isinstance(entity, str) else tuple(entity),
        event_time=event_time,
        known_at=known_at,
        delay=None if delay is None else duration(delay, "delay"),
        ttl=None if ttl is None else duration(ttl, "ttl"),
        features={key: _feature(value) for key, value in features.items()},
    )


def feature_service(
    name: str, *, views: Sequence[FeatureView] = (), request: Mapping[str, ColumnType] | None = None
) -> FeatureService:
    """Define the inputs of a model: features of views, and those that a request brings, with their types."""
    return FeatureService(name=name, views=tuple(views), request=dict(request or {}))


def count(*, over: Duration) -> Aggregate:
    """How many rows a window holds; 0 where it is empty."""
    return Aggregate("count", duration(over, "over"))


def mean(column: str | AnyExpression, *, over: Duration) -> Aggregate:
    """The mean over a window, nulls left out; null where nothing is left."""
    return _aggregate("mean", column, over)


def minimum(column: str | AnyExpression, *, over: Duration) -> Aggregate:
    """The least value of a window, nulls left out; null where nothing is left."""
    return _aggregate("min", column, over)


def maximum(column: str | AnyExpression, *, over: Duration) -> Aggregate:
    """The greatest value of a window, nulls left out; null where nothing is left."""
    return _aggregate("max", column, over)


def total(column: str | AnyExpression, *, over: Duration) -> Aggregate:
    """The sum over a window, nulls left out; null where nothing is left."""
    return _aggregate("sum", column, over)


def _aggregate(kind: Kind, column: str | AnyExpression, over: Duration) -> Aggregate:
    return Aggregate(kind, duration(over, "over"), col(column) if isinstance(column, str) else expression_of(column))


def _feature(value: object) -> Feature:
    return value if isinstance(value, Aggregate) else expression_of(value)
