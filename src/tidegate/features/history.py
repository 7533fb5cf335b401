"""What is known of entities over time, and what of it holds at an instant: one code for training and for serving.

A history holds the rows of one view, sorted by entity, event time and moment of knowledge. A training set builds one of
a whole source, a request one of the few entities that it asks for; both are read by the functions here, so the answers
are the same, bit for bit: a window's float sum is taken over the same rows in the same order.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.features.expressions import AnyExpression, Apply, ColumnType, Constant, type_of
from tidegate.features.records import Aggregate, AppliedView, Kind
from tidegate.features.windows import Piece, Slices, aggregate, pieces_of

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

ALWAYS: Final = -(2**62)
"""The moment since when the rows of a static view are known."""

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
        values: list[object] = self.data.tolist()
        if self.present.all():
            return values
        return [value if there else None for value, there in zip(values, self.present.tolist(), strict=True)]


class History(NamedTuple):
    """The rows of a view. Entity ``code`` has the rows from ``starts[code]`` to before ``starts[code + 1]``."""

    starts: Integers
    event: Integers
    """Microseconds; what the rows of an entity are sorted by."""
    known: Integers
    """Microseconds; second in the order. The same array as `event` where rows are known at once."""
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
    event = Keys(history.event, history.starts)
    after = extents.bisect(event, asked.at, right=True)
    after = _skip_unknown(history, extents.low, after, asked)
    rows = after - 1
    found = rows >= extents.low
    if ttl is not None and len(history.event):
        found &= history.event[np.where(found, rows, 0)] >= asked.at - ttl
    return np.where(found, rows, -1)


class Extents:
    """Where the rows of each question's entity lie: from `low` to before `high`; nowhere for those without rows."""

    def __init__(self, history: History, code: Integers) -> None:
        self._starts = history.starts
        self._there = (code >= 0) & (len(history.starts) > 1)
        self._place = np.where(self._there, code, 0)
        self.low: Integers = np.where(self._there, history.starts[self._place], 0)
        self.high: Integers = np.where(self._there, history.starts[self._place + self._there], 0)

    def bisect(self, keys: "Keys", targets: Integers, *, right: bool = False) -> Integers:
        """The first place of an entity's rows whose key is not below (`right`: is above) the target, else `high`."""
        side: Literal["left", "right"] = "right" if right else "left"
        if not len(keys.plain):
            return self.low.copy()
        if keys.joint is None:
            return self._one_by_one(keys.plain, targets, side)
        sought = self._place * keys.span + np.minimum(np.maximum(targets - keys.least + 1, 0), keys.span - 1)
        return np.where(self._there, np.searchsorted(keys.joint, sought, side=side), self.low)

    def _one_by_one(self, keys: Integers, targets: Integers, side: Literal["left", "right"]) -> Integers:
        found = [
            low + np.searchsorted(keys[low:high], target, side=side)
            for low, high, target in zip(self.low, self.high, targets, strict=True)
        ]
        return np.array(found, np.int64)


class Keys:
    """Numbers that are sorted within each entity, as one sorted array: entity and number in 64 bits, if they fit."""

    def __init__(self, plain: Integers, starts: Integers) -> None:
        self.plain = plain
        self.joint: Integers | None = None
        if len(plain):
            self.least = int(plain.min())
            self.span = int(plain.max()) - self.least + 3  # 0 is before all, span - 1 after all
            if self.span * len(starts) < 2**63:
                code = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
                self.joint = code * self.span + (plain - (self.least - 1))


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
    event = Keys(history.event, history.starts)
    before = extents.bisect(event, asked.at)
    at_once = history.known is history.event
    ordered = at_once or _in_order(history)
    if ordered and not (at_once and asked.seen is asked.at):
        known = Keys(history.known, history.starts)
        before = np.minimum(before, extents.bisect(known, asked.seen, right=True))
    pieces: dict[int, list[Piece]] = {}
    answers = []
    for feature, column in zip(view.view.features.values(), history.columns, strict=True):
        if not isinstance(feature, Aggregate):
            raise TypeError(f"view {view.view.name!r} mixes aggregates with expressions")
        if feature.over not in pieces:
            first = np.minimum(extents.bisect(event, asked.at - feature.over), before)
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
