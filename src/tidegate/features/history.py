"""What is known of entities over time, and what of it holds at an instant: one code for training and for serving.

A history holds the rows of one view, sorted by entity, event time and moment of knowledge. A training set builds one of
a whole source, a request one of the few entities that it asks for; both are read by the functions here, so the answers
are the same, bit for bit: a window's float sum is taken over the same rows in the same order.
"""

import functools
import itertools
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.features.expressions import AnyExpression, Apply, ColumnType, Constant, type_of
from tidegate.features.records import Aggregate, AppliedView, Kind
from tidegate.features.windows import Piece, Slices, aggregate, pieces_of

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

ALWAYS: Final = -(2**62)
"""The moment since when the rows of a static view are known."""

_MANY: Final = 256
"""Questions about one entity from which it is worth while to treat it by itself."""

UNKNOWN: Final = -1
"""The code of an entity that has no rows."""

NOBODY: Final = -2
"""The code of what is no entity, since its key is null: all its features are null, counts too."""


class Values(NamedTuple):
    """A column: its data (of any value where it is null), and where it is there."""

    data: NDArray[Any]
    present: Booleans

    def take(self, rows: Integers) -> "Values":
        """The values of these rows, null where the row is -1."""
        found = rows >= 0
        if not len(self.present):
            return Values(np.zeros(len(rows), self.data.dtype), found & False)
        return Values(self.data[np.where(found, rows, 0)], found & self.present[rows])

    def cells(self) -> list[object]:
        """The values as Python has them, None where they are null."""
        pairs = zip(self.data.tolist(), self.present.tolist(), strict=True)
        return [value if there else None for value, there in pairs]


class History(NamedTuple):
    """The rows of a view. Entity ``code`` has the rows from ``starts[code]`` to before ``starts[code + 1]``."""

    starts: Integers
    event: Integers
    """Microseconds; what the rows of an entity are sorted by."""
    known: Integers
    """Microseconds; second in the order."""
    identity: NDArray[np.uint64]
    """Which row of the source it is; last in the order."""
    columns: tuple[Values, ...]
    """State and static views: the features. Windowed ones: what their aggregates aggregate (`arguments_of`)."""


class Moments(NamedTuple):
    """What is asked: of which entity (its code, `UNKNOWN` or `NOBODY`), for when, and what may be known of it."""

    code: Integers
    at: Integers
    """The instant."""
    seen: Integers
    """The last moment of knowledge that counts; not after the instant."""


DTYPES: Final[Mapping[ColumnType, type]] = {
    "Int64": np.int64,
    "Float64": np.float64,
    "Boolean": np.bool_,
    "Text": object,
}


def arguments_of(view: AppliedView) -> dict[str, tuple[AnyExpression, ColumnType]]:
    """What the columns of a view's history hold, one a feature: expressions of the source, and their types.

    Of a windowed view it is what is aggregated, booleans as 0 and 1; nobody reads the column of a count.
    """
    arguments: dict[str, tuple[AnyExpression, ColumnType]] = {}
    for name, feature in view.view.features.items():
        if not isinstance(feature, Aggregate):
            arguments[name] = feature, view.types[name]
        elif feature.of is None:
            arguments[name] = Constant(True), "Boolean"
        else:
            kind = type_of(feature.of, view.columns, name)
            of = Apply("when", (feature.of, Constant(1), Constant(0))) if kind == "Boolean" else feature.of
            if kind == "Boolean":
                of = Apply("when", (Apply("is_null", (feature.of,)), Constant(None), of))
            arguments[name] = of, "Int64" if kind == "Boolean" else kind
    return arguments


def read_history(view: AppliedView, history: History, asked: Moments) -> tuple[Values, ...]:
    """The features of a view, in order, as of each moment."""
    if view.view.kind != "windowed":
        rows = latest(history, asked, view.view.ttl)
        return tuple(column.take(rows) for column in history.columns)
    return _windows(view, history, asked)


def latest(history: History, asked: Moments, ttl: int | None) -> Integers:
    """The row that holds at each moment, -1 where none does."""
    extents = Extents(history, asked.code)
    after = extents.bisect(history.event, asked.at, right=True)
    after = _skip_unknown(history, extents.low, after, asked)
    rows = after - 1
    found = rows >= extents.low
    if ttl is not None and len(history.event):
        found &= history.event[np.where(found, rows, 0)] >= asked.at - ttl
    return np.where(found, rows, -1)


class Extents:
    """Where the rows of each question's entity lie: from `low` to before `high`; nowhere for those without rows."""

    def __init__(self, history: History, code: Integers) -> None:
        there = (code >= 0) & (len(history.starts) > 1)
        place = np.where(there, code, 0)
        self.low: Integers = np.where(there, history.starts[place], 0)
        self.high: Integers = np.where(there, history.starts[np.where(there, place + 1, 0)], self.low)

    def bisect(self, keys: Integers, targets: Integers, *, right: bool = False) -> Integers:
        """The first place of an entity's rows whose key is not below (`right`: is above) the target, else `high`."""
        if self._groups is None:
            return self._halve(keys, targets, right)
        order, borders = self._groups
        answers = np.empty(len(order), np.int64)
        for start, stop in itertools.pairwise(borders):
            some = order[start:stop]
            low, high = self.low[some[0]], self.high[some[0]]
            answers[some] = low + np.searchsorted(keys[low:high], targets[some], side="right" if right else "left")
        return answers

    @functools.cached_property
    def _groups(self) -> tuple[Integers, list[int]] | None:
        """The questions by entity, where there are many of each."""
        if len(self.low) < _MANY:
            return None
        entity = 2 * self.low + (self.high > self.low)  # one without rows may lie where another one begins
        order = np.argsort(entity, kind="stable")
        borders = np.flatnonzero(np.diff(entity[order])) + 1
        return None if _MANY * len(borders) > len(order) else (order, [0, *borders.tolist(), len(order)])

    def _halve(self, keys: Integers, targets: Integers, right: bool) -> Integers:
        """All questions at once, each halving its stretch."""
        low, high = self.low.copy(), self.high.copy()
        widest = int((high - low).max()) if len(low) else 0
        for _ in range(widest.bit_length()):
            open_ = low < high
            middle = (low + high) >> 1
            seen = keys[np.where(open_, middle, 0)]
            below = open_ & ((seen <= targets) if right else (seen < targets))
            low = np.where(below, middle + 1, low)
            high = np.where(open_ & ~below, middle, high)
        return low


def _skip_unknown(history: History, low: Integers, after: Integers, asked: Moments) -> Integers:
    """The places moved back over rows that are not known yet, by stretches of 1, 2, 4, … rows of which none is."""
    known, seen = history.known, asked.seen
    if not len(known) or bool(((known[np.maximum(after - 1, 0)] <= seen) | (after <= low)).all()):
        return after
    for size, least in reversed(_stretches(history, int((asked.at - seen).max()))):
        while True:
            start = after - size
            skipped = start >= low
            skipped &= least[np.where(skipped, start, 0)] > seen
            if not skipped.any():
                break
            after = np.where(skipped, start, after)
    return after


def _stretches(history: History, lag: int) -> list[tuple[int, Integers]]:
    """For 1, 2, 4, … rows: the earliest moment at which one of so many, from each row on, became known.

    Up to the size from which none is skipped by anybody who asks after its last event, and knows what `lag` before was.
    """
    size, least = 1, history.known
    found = [(size, least)]
    while 2 * size <= len(least):
        least = np.minimum(least[: len(least) - size], least[size:])
        size *= 2
        if not bool((least > history.event[size - 1 :] - lag).any()):
            break
        found.append((size, least))
    return found


def _windows(view: AppliedView, history: History, asked: Moments) -> tuple[Values, ...]:
    extents = Extents(history, asked.code)
    before = extents.bisect(history.event, asked.at)
    ordered = _in_order(history)
    if ordered:
        before = np.minimum(before, extents.bisect(history.known, asked.seen, right=True))
    pieces: dict[int, list[Piece]] = {}
    answers = []
    for feature, column in zip(view.view.features.values(), history.columns, strict=True):
        if not isinstance(feature, Aggregate):
            raise TypeError(f"view {view.view.name!r} mixes aggregates with expressions")
        if feature.over not in pieces:
            first = np.minimum(extents.bisect(history.event, asked.at - feature.over), before)
            pieces[feature.over] = pieces_of(Slices(first, before), history.known, asked.seen, ordered)
        answers.append(_aggregated(feature.kind, column, pieces[feature.over], asked))
    return tuple(answers)


def _aggregated(kind: Kind, column: Values, pieces: list[Piece], asked: Moments) -> Values:
    """The aggregate for each question; null for who asks of no entity."""
    data: NDArray[Any] | None = None
    present = np.zeros(len(asked.code), np.bool_)
    for piece in pieces:
        source = column if piece.rows is None else Values(column.data[piece.rows], column.present[piece.rows])
        values, there = aggregate(kind, source.data, source.present, piece.slices)
        data = np.zeros(len(asked.code), values.dtype) if data is None else data
        data[piece.questions], present[piece.questions] = values, there
    if data is None:
        data = np.zeros(len(asked.code))
    return Values(data, present & (asked.code != NOBODY))


def _in_order(history: History) -> bool:
    """Whether in every entity what happened later became known later: known rows then lie side by side."""
    later = history.known[1:] >= history.known[:-1]
    borders = history.starts[1:-1]
    later[borders[(borders > 0) & (borders < len(history.known))] - 1] = True
    return bool(later.all())
