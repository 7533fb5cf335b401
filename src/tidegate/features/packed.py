"""What the online store keeps of one entity: its rows of late, packed into bytes.

An entity is pushed to and asked for with a few rows at a time. So it stays in bytes, which are joined and cut as they
are: numpy only looks at the rows of all entities of a request together, where `Layout.history` has joined them.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice, pairwise
from operator import lt
from sys import byteorder
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from tidegate.features.expressions import ColumnType
from tidegate.features.history import ALWAYS, DTYPES, History, Values, arguments_of, take
from tidegate.features.records import Aggregate, AppliedView
from tidegate.features.rules import REMEMBERED
from tidegate.kernel.errors import Conflict, Invalid

BEGINNING = -(2**63)
"""The floor of an entity of which nothing was forgotten."""

_UNREAD: Final = Values(np.zeros(0), np.zeros(0, np.bool_))
"""The column of a count."""

_CODES: Final[Mapping[ColumnType, str]] = {"Int64": "q", "Float64": "d", "Boolean": "b"}
"""The types as `array` spells them; their items are as wide as those of `DTYPES`."""


class Rows(NamedTuple):
    """Rows of one entity, in any order."""

    event: list[int]
    known: list[int]
    identity: list[int]
    columns: list[list[Any]]
    """As the columns of a `History`; null is None."""

    def take(self, places: Sequence[int]) -> "Rows":
        """Some of the rows."""
        event, known, identity = ([one[place] for place in places] for one in self[:3])
        return Rows(event, known, identity, [[column[place] for place in places] for column in self.columns])


class Column(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A packed column."""

    data: bytes | list[str]
    """Of any value where it is null."""
    present: bytes


class Entity(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The packed rows of one entity, sorted as those of a `History` are."""

    floor: int
    """Microseconds; rows that matter before it were forgotten."""
    event: bytes
    known: bytes
    """Empty in a view whose rows are known at once."""
    identity: bytes
    columns: list[Column]

    def __len__(self) -> int:
        return len(self.event) // _WORD

    def pack(self) -> bytes:
        """All of it as bytes."""
        return _ENCODE(self)

    def followed_by(self, other: "Entity") -> "Entity":
        """The rows of both, these first."""
        columns = [
            Column(one.data + two.data, one.present + two.present)  # type: ignore[operator]
            for one, two in zip(self.columns, other.columns, strict=True)
        ]
        return Entity(
            max(self.floor, other.floor),
            self.event + other.event,
            self.known + other.known,
            self.identity + other.identity,
            columns,
        )

    def part(self, first: int, end: int) -> "Entity":
        """The rows from one to before another."""
        rows, words, columns = len(self), slice(first * _WORD, end * _WORD), []
        for one in self.columns:
            width = len(one.data) // rows
            columns.append(Column(one.data[first * width : end * width], one.present[first:end]))
        return Entity(self.floor, self.event[words], self.known[words], self.identity[words], columns)


_WORD: Final = 8
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Entity).decode


class Layout:
    """How the rows of one version of a view are packed, merged and forgotten."""

    def __init__(self, view: AppliedView) -> None:
        self.view = view
        self.kind = view.view.kind
        self._at_once = view.view.known_at is None and not view.view.delay
        arguments = list(arguments_of(view).values())
        spelt = list(map(repr, arguments))
        counts = [isinstance(one, Aggregate) and one.kind == "count" for one in view.view.features.values()]
        distinct = list(dict.fromkeys(one for one, count in zip(spelt, counts, strict=True) if not count))
        self.kept = tuple(map(spelt.index, distinct))
        """The features whose columns are packed: one that several read once, and none for counts, which read none."""
        self.types: tuple[ColumnType, ...] = tuple(arguments[place][1] for place in self.kept)
        self._columns = [None if count else distinct.index(one) for one, count in zip(spelt, counts, strict=True)]
        """The packed column of each feature."""
        aggregates = [(one.kind, one.over) for one in view.view.features.values() if isinstance(one, Aggregate)]
        self.shape = self.kind, self._at_once, view.view.ttl, self.types, tuple(self._columns), tuple(aggregates)
        """Equal for views whose entities may be read as one history."""
        windows = [one.over for one in view.view.features.values() if isinstance(one, Aggregate)]
        self._longest = max(windows, default=0)

    def unpack(self, raw: bytes) -> Entity:
        """The entity in the bytes. Raises `Invalid` where they are none of this view."""
        try:
            entity = _DECODE(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._unlike(str(error)) from error
        if len(entity.columns) == len(self._columns):  # one a feature: as they were packed at first
            entity = msgspec.structs.replace(entity, columns=[entity.columns[place] for place in self.kept])
        rows = len(entity)
        known = entity.event if self._at_once and not entity.known else entity.known
        lengths = {len(entity.event), len(known), len(entity.identity)}
        if lengths != {rows * _WORD} or len(entity.columns) != len(self.types):
            raise self._unlike("they differ in length")
        for column, kind in zip(entity.columns, self.types, strict=True):
            self._check_column(column, kind, rows)
        times = np.frombuffer(entity.event + known, np.int64)
        if rows and (times.min() < ALWAYS or times.max() > -ALWAYS or entity.floor > times[rows:].max()):
            raise self._unlike("their times lie beyond all years")
        if not BEGINNING <= entity.floor <= -ALWAYS:
            raise self._unlike("they forget what is not known yet")
        if self._at_once and known != entity.event:
            raise self._unlike("they are known at another time than they happen")
        return msgspec.structs.replace(entity, known=b"") if self._at_once else entity

    def pack(self, rows: Rows) -> Entity:
        """Sorted rows as an entity."""
        event, known, identity = (array(code, one).tobytes() for code, one in zip("qqQ", rows[:3], strict=True))
        known = b"" if self._at_once else known
        return Entity(BEGINNING, event, known, identity, list(map(_packed, rows.columns, self.types)))

    def rows(self, entity: Entity) -> Rows:
        """The rows of an entity."""
        event = memoryview(entity.event).cast("q").tolist()
        known = event if self._at_once else memoryview(entity.known).cast("q").tolist()
        identity = memoryview(entity.identity).cast("Q").tolist()
        return Rows(event, known, identity, list(map(_cells, entity.columns, self.types)))

    def merge(self, old: Entity | None, new: Entity, *, replace: bool) -> Entity:
        """The rows of both, without those that nobody will ask for.

        Where a state has other values at the same event time and moment of knowledge, the new ones hold if `replace`,
        else raises `Conflict`. The rows of a static view are replaced.
        """
        if old is None or self.kind == "static":
            return self.trim(new)
        joined = old.followed_by(new)
        if len(old) and len(new) and _last(old.event) >= _first(new.event):
            joined = self.ordered(joined, replace=replace)
        return self.trim(joined)

    def ordered(self, entity: Entity, *, replace: bool) -> Entity:
        """The entity with its rows as `order` has them."""
        ordered = self.pack(self.order(self.rows(entity), replace=replace))
        return msgspec.structs.replace(ordered, floor=entity.floor)

    def order(self, rows: Rows, *, replace: bool) -> Rows:
        """Sorted, each event once; of several states of one time the last one given holds if `replace`."""
        keys = list(zip(rows.event, rows.known, rows.identity, strict=True))
        if all(map(lt, keys, islice(keys, 1, None))):
            return rows
        places = sorted(range(len(keys)), key=keys.__getitem__)  # stable: what was given last is the last of its equals
        equal = [(one, two) for one, two in pairwise(places) if keys[one] == keys[two]]
        if self.kind == "windowed" or not replace:
            if self.kind != "windowed":
                self._refuse_ties(rows, equal)
            passed_over = {two for _, two in equal}
        else:
            passed_over = {one for one, _ in equal}
        return rows.take([place for place in places if place not in passed_over])

    def trim(self, entity: Entity) -> Entity:
        """Without what nobody asks for who asks at most `REMEMBERED` before the newest that is known."""
        if self.kind == "static" or not len(entity):
            return entity
        event = memoryview(entity.event).cast("q")
        known = event if self._at_once else memoryview(entity.known).cast("q")
        since = (event[-1] if self._at_once else max(known)) - REMEMBERED
        if self.kind == "windowed":
            first = bisect_left(event, since - self._longest)
        else:
            holding = range(bisect_right(event, since) - 1, 0, -1)
            first = next((place for place in holding if known[place] <= since), 0)
        if not first:
            return entity
        return msgspec.structs.replace(entity.part(first, len(event)), floor=max(entity.floor, since))

    def history(self, entities: Sequence[Entity]) -> History:
        """One history of several entities: their codes are their places."""
        starts = np.zeros(len(entities) + 1, np.int64)
        starts[1:] = np.array([len(one.event) // _WORD for one in entities]).cumsum()
        event = np.frombuffer(b"".join([one.event for one in entities]), np.int64)
        known = event if self._at_once else np.frombuffer(b"".join([one.known for one in entities]), np.int64)
        packed = zip(*[one.columns for one in entities], strict=True) if entities else [()] * len(self.types)
        joined = list(map(_joined, packed, self.types))
        columns = tuple(_UNREAD if place is None else joined[place] for place in self._columns)
        return History(starts, event, known, np.zeros(0, np.uint64), columns)

    def entity_of(self, history: History, code: int, until: int) -> Entity | None:
        """What may be known by `until` of one entity of a history."""
        rows = np.arange(history.starts[code], history.starts[code + 1])
        rows = rows[history.known[rows] <= until]
        if not len(rows):
            return None
        event, known, identity = (one[rows].tolist() for one in (history.event, history.known, history.identity))
        columns = [column.cells() for column in take([history.columns[place] for place in self.kept], rows)]
        return self.trim(self.pack(Rows(event, known, identity, columns)))

    def _check_column(self, column: Column, kind: ColumnType, rows: int) -> None:
        if isinstance(column.data, list) != (kind == "Text"):
            raise self._unlike(f"a column of {kind} is none")
        width = 1 if kind == "Text" else np.dtype(DTYPES[kind]).itemsize
        if len(column.data) != rows * width or len(column.present) != rows:
            raise self._unlike("they differ in length")
        if kind == "Float64" and not np.isfinite(np.frombuffer(column.data, np.float64)).all():  # type: ignore[arg-type]
            raise self._unlike("a number is not finite")

    def _unlike(self, why: str) -> Invalid:
        return Invalid(f"these are no packed rows of view {self.view.view.name!r}: {why}")

    def _refuse_ties(self, rows: Rows, equal: Iterable[tuple[int, int]]) -> None:
        for one, two in equal:
            if any(column[one] != column[two] for column in rows.columns):
                what = "holds one row an entity" if rows.event[one] == ALWAYS else "has a row of that event time"
                raise Conflict(
                    f"view {self.view.view.name!r} {what} with other values already: nothing says which holds. "
                    "Give known_at where a later row corrects an earlier one",
                    view=self.view.view.name,
                )


def _packed(cells: list[Any], kind: ColumnType) -> Column:
    present = bytes([cell is not None for cell in cells])
    if kind == "Text":
        return Column(["" if cell is None else cell for cell in cells], present)
    return Column(array(_CODES[kind], [0 if cell is None else cell for cell in cells]).tobytes(), present)


def _cells(column: Column, kind: ColumnType) -> list[Any]:
    return _joined([column], kind).cells()


def _joined(columns: Sequence[Column], kind: ColumnType) -> Values:
    present = np.frombuffer(b"".join([one.present for one in columns]), np.bool_)
    data: Any = [one.data for one in columns]
    if kind == "Text":
        return Values(np.array(list(chain(*data)), object), present)
    return Values(np.frombuffer(b"".join(data), DTYPES[kind]), present)


def _first(event: bytes) -> int:
    return int.from_bytes(event[:_WORD], byteorder, signed=True)


def _last(event: bytes) -> int:
    return int.from_bytes(event[-_WORD:], byteorder, signed=True)
