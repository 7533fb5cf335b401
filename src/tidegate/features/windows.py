"""What the rows of a window come to: count, sum, mean, least and greatest, over slices of a column.

Integers are summed exactly. Floats are summed by numpy over the slice itself, never as a difference of running sums:
the same slice gives the same bits, wherever it lies.
"""

from collections.abc import Iterator
from functools import cached_property
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
    """Some questions, and their slices of some of the rows."""

    questions: Integers | None
    """Their places; None where it is all of them."""
    rows: Integers | None
    """What is to be gathered for them; None where the rows stay as they are."""
    slices: Slices


def pieces_of(slices: Slices, known: Integers, seen: Integers, ordered: bool) -> list[Piece]:
    """The slices without the rows that are not known yet.

    Where the known rows of a slice lie side by side it stays as it is; for the others the known ones are gathered.
    """
    if ordered or not len(known):
        return [Piece(None, None, slices)]
    every = np.arange(len(slices.low))
    unknown = _counts_unknown(slices, known, seen)
    clean = every[~unknown]
    made = [Piece(clean, None, Slices(slices.low[clean], slices.high[clean]))] if len(clean) else []
    return [*made, *_gathered(every[unknown], slices, known, seen)]


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


class Column:
    """A column whose slices are aggregated: what all its aggregates need is made once."""

    def __init__(self, data: NDArray[Any], present: Booleans) -> None:
        self._data = data
        self._present = present
        self._whole = 0 not in present.tobytes()

    def take(self, rows: Integers) -> "Column":
        """Some of the rows."""
        return Column(self._data[rows], self._present[rows])

    def aggregate(self, kind: Kind, slices: Slices) -> tuple[NDArray[Any], Booleans]:
        """The aggregate of each slice, and where there is one."""
        if kind == "count":
            return slices.high - slices.low, np.ones(len(slices.low), np.bool_)
        held = slices.high - slices.low if self._whole else _differences(self._held, slices)
        some = held > 0
        if kind in ("min", "max"):
            function = np.minimum if kind == "min" else np.maximum
            filled = np.where(self._present, self._data, _neutral(self._data.dtype, kind))
            return np.where(some, _reduce(function, filled, slices), 0).astype(self._data.dtype), some
        if self._data.dtype == np.float64:
            sums = _reduce(np.add, self._zeroed, slices)
            some = some & np.isfinite(sums)
            sums = np.where(some, sums, 0.0)
        else:
            sums, some = self._exact(slices, some)
        return (sums / np.maximum(held, 1) if kind == "mean" else sums), some

    @cached_property
    def _held(self) -> Integers:
        """How many values lie before each place."""
        return _running(self._present)

    @cached_property
    def _zeroed(self) -> NDArray[Any]:
        """The values, 0 where there is none."""
        return self._data if self._whole else np.where(self._present, self._data, self._data.dtype.type(0))

    @cached_property
    def _sums(self) -> Integers:
        """Of the integers before each place, modulo 2 ** 64."""
        return _running(self._zeroed)

    @cached_property
    def _largest(self) -> int:
        zeroed = self._zeroed
        return max(-int(zeroed.min()), int(zeroed.max())) if len(zeroed) else 0

    def _exact(self, slices: Slices, some: Booleans) -> tuple[Integers, Booleans]:
        """Sums of integers; one that needs more than 64 bits is null."""
        if self._largest * len(self._data) < 2**63 or self._largest * _longest(slices) < 2**63:
            return _differences(self._sums, slices), some
        exact = [sum(self._zeroed[low:high].tolist()) for low, high in zip(slices.low, slices.high, strict=True)]
        some = some & np.array([-(2**63) <= one < 2**63 for one in exact], np.bool_)
        return np.array([one if fits else 0 for one, fits in zip(exact, some, strict=True)], np.int64), some


def _running(values: NDArray[Any]) -> Integers:
    """The sum of the values before each place, and of all."""
    sums = np.zeros(len(values) + 1, np.int64)
    values.cumsum(out=sums[1:])
    return sums


def _differences(running: Integers, slices: Slices) -> Integers:
    """What is summed within each slice; exact, also where the running sums wrap around."""
    return running[slices.high] - running[slices.low]


def _longest(slices: Slices) -> int:
    return int((slices.high - slices.low).max()) if len(slices.low) else 0


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
