"""What the rows of a window come to: count, sum, mean, least and greatest, over slices of a column.

Integers are summed exactly. Floats are summed by numpy over the slice itself, never as a difference of running sums:
the same slice gives the same bits, wherever it lies.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.features.records import Kind

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

_GATHERED: Final = 1 << 22
"""Rows that are gathered at once where the known rows of a window do not lie side by side."""


class Slices(NamedTuple):
    """Rows from `low` to before `high`, one slice a question."""

    low: Integers
    high: Integers


class Piece(NamedTuple):
    """Some questions, the rows to gather for them (none: all as they are), and their slices of what was gathered."""

    questions: Integers
    rows: Integers | None
    slices: Slices


def pieces_of(slices: Slices, known: Integers, seen: Integers, ordered: bool) -> list[Piece]:
    """The slices without the rows that are not known yet.

    Where the known rows of a slice lie side by side it stays as it is; for the others the known ones are gathered.
    """
    every = np.arange(len(slices.low))
    if ordered or not len(known):
        return [Piece(every, None, slices)]
    unknown = _counts_unknown(slices, known, seen)
    clean = every[~unknown]
    made = [Piece(clean, None, Slices(slices.low[clean], slices.high[clean]))]
    made += _gathered(every[unknown], slices, known, seen)
    return [piece for piece in made if len(piece.questions)]


def _counts_unknown(slices: Slices, known: Integers, seen: Integers) -> Booleans:
    """Whether a slice holds a row that is not known yet."""
    latest = _reduce(np.maximum, known, slices)
    return (slices.high > slices.low) & (latest > seen)


def _gathered(questions: Integers, slices: Slices, known: Integers, seen: Integers) -> Iterator[Piece]:
    ends = np.cumsum(slices.high[questions] - slices.low[questions])
    start = 0
    while start < len(questions):
        offset = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, offset + _GATHERED, side="right")))
        some = questions[start:stop]
        lengths = slices.high[some] - slices.low[some]
        which = np.repeat(np.arange(len(some)), lengths)
        first = np.cumsum(lengths) - lengths
        rows = np.arange(int(lengths.sum())) - np.repeat(first - slices.low[some], lengths)
        there = known[rows] <= seen[some][which]
        left = np.bincount(which[there], minlength=len(some))
        high = np.cumsum(left)
        yield Piece(some, rows[there], Slices(high - left, high))
        start = stop


def aggregate(kind: Kind, data: NDArray[Any], present: Booleans, slices: Slices) -> tuple[NDArray[Any], Booleans]:
    """The aggregate of each slice, and where there is one."""
    if kind == "count":
        return slices.high - slices.low, np.ones(len(slices.low), np.bool_)
    running = np.concatenate([[0], np.cumsum(present)])
    held = running[slices.high] - running[slices.low]
    some = held > 0
    if kind in ("min", "max"):
        function = np.minimum if kind == "min" else np.maximum
        filled = np.where(present, data, _neutral(data.dtype, kind))
        return np.where(some, _reduce(function, filled, slices), 0).astype(data.dtype), some
    zeroed = np.where(present, data, data.dtype.type(0))
    if data.dtype == np.float64:
        sums = _reduce(np.add, zeroed, slices)
        some = some & np.isfinite(sums)
        sums = np.where(some, sums, 0.0)
        return (sums / np.maximum(held, 1) if kind == "mean" else sums), some
    return _integers(kind, zeroed, slices, held)


def _integers(kind: Kind, data: NDArray[Any], slices: Slices, held: Integers) -> tuple[NDArray[Any], Booleans]:
    """Exact sums; one that needs more than 64 bits is null."""
    some = held > 0
    largest = max((abs(int(data.min())), abs(int(data.max()))), default=0) if len(data) else 0
    longest = int((slices.high - slices.low).max()) if len(slices.low) else 0
    if largest * longest < 2**63:
        running = np.concatenate([[0], np.cumsum(data, dtype=np.int64)])  # may wrap around: differences are exact
        sums = running[slices.high] - running[slices.low]
    else:
        exact = [sum(data[low:high].tolist()) for low, high in zip(slices.low, slices.high, strict=True)]
        some = some & np.array([-(2**63) <= one < 2**63 for one in exact], np.bool_)
        sums = np.array([one if fits else 0 for one, fits in zip(exact, some, strict=True)], np.int64)
    if kind == "mean":
        return sums.astype(np.float64) / np.maximum(held, 1), some
    return sums, some


def _neutral(dtype: np.dtype[Any], kind: Kind) -> Any:
    """What no least (greatest) value is moved by."""
    if dtype == np.float64:
        return np.inf if kind == "min" else -np.inf
    limits = np.iinfo(np.int64)
    return limits.max if kind == "min" else limits.min


def _reduce(function: np.ufunc, data: NDArray[Any], slices: Slices) -> NDArray[Any]:
    """The function over each slice; of any value where a slice is empty.

    In the order of their beginnings, since numpy also reduces what lies between one slice and the next.
    """
    order = np.argsort(slices.low, kind="stable")
    low, high = slices.low[order], slices.high[order]
    padded = np.append(data, data.dtype.type(0))
    ends = np.empty(2 * len(order), np.int64)
    ends[::2], ends[1::2] = low, high
    answers = np.empty(len(order), data.dtype)
    if len(order):
        answers[order] = function.reduceat(padded, ends)[::2]
    return answers
