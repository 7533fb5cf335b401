"""The order of points, and what sums up a set of them.

Laws:

1. A value and its rank tell the same, and ranks are ordered as values are, NaN below every number.
2. A summary does not depend on the order or the grouping of its points.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

NAN_RANK: Final = -(2**63) + 1
"""Below the rank of every number."""

_MAGNITUDE: Final = 2**63 - 1
_double = struct.Struct("<d")
_integer = struct.Struct("<q")


class Point(NamedTuple):
    """One measurement. Points are ordered as tuples; equal ones are one point."""

    step: int
    at: int
    """Microseconds UTC."""
    rank: int
    """The value; see `rank_of`."""


def rank_of(value: float) -> int:
    """A 64-bit integer that stands for the value and is ordered as it is; NaN is the least, and -0.0 is 0.0."""
    if math.isnan(value):
        return NAN_RANK
    bits: int = _integer.unpack(_double.pack(value + 0.0))[0]
    return bits if bits >= 0 else bits ^ _MAGNITUDE


def ranks_of(values: Sequence[float]) -> list[int]:
    """The ranks of values, as `rank_of` tells them one by one."""
    size = len(values)
    bits = struct.unpack(f"<{size}q", struct.pack(f"<{size}d", *[value + 0.0 for value in values]))
    return [
        NAN_RANK if value != value else one if one >= 0 else one ^ _MAGNITUDE
        for value, one in zip(values, bits, strict=True)
    ]


def value_of(rank: int) -> float:
    """The value that a rank stands for."""
    if rank == NAN_RANK:
        return math.nan
    value: float = _double.unpack(_integer.pack(rank if rank >= 0 else rank ^ _MAGNITUDE))[0]
    return value


class Extreme(NamedTuple):
    """A least or greatest value, and the least step that has it."""

    rank: int
    step: int


class Summary(msgspec.Struct, frozen=True):
    """What sums up some points, at least one. The extremes ignore NaN, and are null where nothing else is."""

    count: int
    nan_count: int
    first: Point
    last: Point
    """The greatest point: of the greatest step, then time, then value."""
    least: Extreme | None
    greatest: Extreme | None


def summary_of(points: Iterable[Point]) -> Summary:
    """The summary of distinct points, at least one."""
    all_ = list(points)
    ranks = [rank for _, _, rank in all_ if rank != NAN_RANK]
    return Summary(
        count=len(all_),
        nan_count=len(all_) - len(ranks),
        first=min(all_),
        last=max(all_),
        least=_extreme(all_, min(ranks)) if ranks else None,
        greatest=_extreme(all_, max(ranks)) if ranks else None,
    )


def _extreme(points: Iterable[Point], rank: int) -> Extreme:
    return Extreme(rank, min(step for step, _, one in points if one == rank))


def combined(one: Summary, other: Summary) -> Summary:
    """The summary of the points of both."""
    return Summary(
        count=one.count + other.count,
        nan_count=one.nan_count + other.nan_count,
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        least=min((each for each in (one.least, other.least) if each), default=None),
        greatest=max(
            (each for each in (one.greatest, other.greatest) if each),
            key=lambda each: (each.rank, -each.step),
            default=None,
        ),
    )
