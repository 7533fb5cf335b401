"""What is known of entities over time, and what of it holds at an instant: one code for training and for serving.

A history holds the rows of one view, sorted by entity, event time and moment of knowledge. A training set builds one of
a whole source, a request one of the few entities that it asks for; both are read by the functions here, so the answers
are the same, bit for bit: a window's float sum is taken over the same rows in the same order.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.features.expressions import AnyExpression, Apply, ColumnType, Constant, type_of
from tidegate.features.records import Aggregate, AppliedView, Kind
from tidegate.features.windows import Column, Piece, Slices, pieces_of

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

    def cells(self) -> list[object]:
        """The values as Python has them, None where they are null."""
        values: list[object] = self.data.tolist()
        if 0 not in self.present.tobytes():
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
    if view.view.kind == "windowed":
        return _windows(view, history, asked)
    if view.view.kind == "static":
        return take(history.columns, _last(history, asked.code))
    return take(history.columns, latest(history, asked, view.view.ttl))


def take(columns: Iterable[Values], rows: Integers) -> tuple[Values, ...]:
    """The values of these rows, null where the row is -1."""
    found = rows >= 0
    places = np.maximum(rows, 0)
    return tuple(
        Values(column.data[places], found & column.present[places])
        if len(column.present)
        else Values(np.zeros(len(rows), column.data.dtype), np.zeros(len(rows), np.bool_))
        for column in columns
    )


def _last(history: History, code: Integers) -> Integers:
    """The row that is known of each entity since ever, -1 where none is."""
    last = history.starts[1:] - 1
    rows = np.append(np.where(last >= history.starts[:-1], last, -1), -1)
    return rows[np.maximum(code, -1)]


def latest(history: History, asked: Moments, ttl: int | None) -> Integers:
    """The row that holds at each moment, -1 where none does."""
    extents = Extents(history.starts, asked.code)
    after = extents.bisect(history.event, asked.at, right=True)
    after = _skip_unknown(history, extents.low, after, asked)
    rows = after - 1
    found = rows >= extents.low
    if ttl is not None and len(history.event):
        found &= history.event[np.where(found, rows, 0)] >= asked.at - ttl
    return np.where(found, rows, -1)


class Extents:
    """Where the rows of each question's entity lie: from `low` to before `high`; those without rows are at the end."""

    def __init__(self, starts: Integers, code: Integers) -> None:
        self._starts = starts
        self._place = np.where(code >= 0, code, len(starts) - 1)
        self.low: Integers = starts[self._place]

    def bisect(self, keys: Integers, targets: Integers, *, right: bool = False) -> Integers:
        """The first place of an entity's rows whose key is not below (`right`: is above) the target, else their end.

        The keys are sorted within each entity. Targets: one a question, or several rows of them.
        """
        side: Literal["left", "right"] = "right" if right else "left"
        if not len(keys):
            return np.zeros(targets.shape, np.int64)
        least, entities = int(keys.min()), len(self._starts) - 1
        span = int(keys.max()) - least + 3  # 0 is before all keys, span - 1 after all
        if span * (entities + 1) >= 2**63:
            return self._one_by_one(keys, targets, side)
        offsets = np.arange(entities + 1) * span - (least - 1)  # entity and key in 64 bits: sorted as a whole
        joint = keys + offsets[:-1].repeat(self._starts[1:] - self._starts[:-1])
        sought = np.minimum(np.maximum(targets, least - 1), least + span - 2) + offsets[self._place]
        return joint.searchsorted(sought, side)

    def _one_by_one(self, keys: Integers, targets: Integers, side: Literal["left", "right"]) -> Integers:
        high = np.append(self._starts, self._starts[-1])[self._place + 1]
        found = [
            [
                low + np.searchsorted(keys[low:high], target, side=side)
                for low, high, target in zip(self.low, high, row, strict=True)
            ]
            for row in np.atleast_2d(targets)
        ]
        return np.array(found, np.int64).reshape(targets.shape)


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
    aggregates = [one for one in view.view.features.values() if isinstance(one, Aggregate)]
    if len(aggregates) < len(view.view.features):
        raise TypeError(f"view {view.view.name!r} mixes aggregates with expressions")
    overs = list({one.over: None for one in aggregates})
    extents = Extents(history.starts, asked.code)
    before, *firsts = extents.bisect(history.event, asked.at - np.array([0, *overs])[:, None])
    at_once = history.known is history.event
    ordered = at_once or _in_order(history)
    if ordered and not (at_once and asked.seen is asked.at):
        before = np.minimum(before, extents.bisect(history.known, asked.seen, right=True))
    pieces = {
        over: pieces_of(Slices(np.minimum(first, before), before), history.known, asked.seen, ordered)
        for over, first in zip(overs, firsts, strict=True)
    }
    somebody = asked.code != NOBODY
    answers: dict[int, Values] = {}
    for shared in {id(column): column for column in history.columns}.values():  # one at a time: they may be long
        made = Column(*shared)
        for place, (one, column) in enumerate(zip(aggregates, history.columns, strict=True)):
            if column is shared:
                answers[place] = _aggregated(one.kind, made, pieces[one.over], somebody)
    return tuple(answers[place] for place in range(len(aggregates)))


def _aggregated(kind: Kind, column: Column, pieces: list[Piece], somebody: Booleans) -> Values:
    """The aggregate for each question; null for who asks of no entity."""
    data: NDArray[Any] = np.zeros(len(somebody))
    present = np.zeros(len(somebody), np.bool_)
    for place, piece in enumerate(pieces):
        source = column if piece.rows is None or kind == "count" else column.take(piece.rows)
        values, there = source.aggregate(kind, piece.slices)
        if piece.questions is None:
            return Values(values, there & somebody)
        data = data if place else np.zeros(len(somebody), values.dtype)
        data[piece.questions], present[piece.questions] = values, there
    return Values(data, present & somebody)


def _in_order(history: History) -> bool:
    """Whether in every entity what happened later became known later: known rows then lie side by side."""
    later = history.known[1:] >= history.known[:-1]
    borders = history.starts[1:-1]
    later[borders[(borders > 0) & (borders < len(history.known))] - 1] = True
    return bool(later.all())
