"""What the online store keeps of one entity: its rows of late, packed into bytes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.features.expressions import ColumnType
from tidegate.features.history import ALWAYS, DTYPES, History, Integers, Values, arguments_of
from tidegate.features.records import Aggregate, AppliedView
from tidegate.features.rules import REMEMBERED
from tidegate.kernel.errors import Conflict, Invalid

BEGINNING = -(2**63)
"""The floor of an entity of which nothing was forgotten."""


class _Column(msgspec.Struct, frozen=True, array_like=True):
    data: bytes | list[str]
    present: bytes


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    floor: int
    event: bytes
    known: bytes
    identity: bytes
    columns: list[_Column]


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(_Stored).decode


class Entity(NamedTuple):
    """The rows of one entity, sorted as those of a `History` are."""

    floor: int
    """Microseconds; rows that matter before it were forgotten."""
    event: Integers
    known: Integers
    identity: NDArray[np.uint64]
    columns: tuple[Values, ...]

    def pack(self) -> bytes:
        """The rows as bytes."""
        columns = [
            _Column(one.data.tolist() if one.data.dtype == object else one.data.tobytes(), one.present.tobytes())
            for one in self.columns
        ]
        stored = _Stored(self.floor, self.event.tobytes(), self.known.tobytes(), self.identity.tobytes(), columns)
        return _ENCODE(stored)

    def take(self, rows: "NDArray[Any] | slice") -> Self:
        """Some of the rows."""
        return self._replace(
            event=self.event[rows],
            known=self.known[rows],
            identity=self.identity[rows],
            columns=tuple(Values(one.data[rows], one.present[rows]) for one in self.columns),
        )


class Layout:
    """How the rows of one version of a view are packed, merged and forgotten."""

    def __init__(self, view: AppliedView) -> None:
        self.view = view
        self.kind = view.view.kind
        self._at_once = view.view.known_at is None and not view.view.delay
        self.types: tuple[ColumnType, ...] = tuple(kind for _, kind in arguments_of(view).values())
        windows = [one.over for one in view.view.features.values() if isinstance(one, Aggregate)]
        self._longest = max(windows, default=0)

    def unpack(self, raw: bytes) -> Entity:
        """The rows in the bytes. Raises `Invalid` where they are none of this view."""
        try:
            stored = _DECODE(raw)
            event, known = np.frombuffer(stored.event, np.int64), np.frombuffer(stored.known, np.int64)
            identity = np.frombuffer(stored.identity, np.uint64)
            columns = tuple(map(_values, stored.columns, self.types))
        except (msgspec.DecodeError, ValueError, UnicodeEncodeError) as error:
            raise Invalid(f"these are no packed rows of view {self.view.view.name!r}: {error}") from error
        lengths = {len(event), len(known), len(identity)}
        lengths |= {length for one in columns for length in (len(one.data), len(one.present))}
        if len(lengths) != 1 or len(columns) != len(self.types):
            raise Invalid(f"these are no packed rows of view {self.view.view.name!r}: they differ in length")
        times = np.concatenate([event, known])
        if len(times) and (times.min() < ALWAYS or times.max() > -ALWAYS or stored.floor > known.max()):
            raise Invalid(f"these are no packed rows of view {self.view.view.name!r}: their times lie beyond all years")
        if not BEGINNING <= stored.floor <= -ALWAYS:
            raise Invalid(
                f"these are no packed rows of view {self.view.view.name!r}: they forget what is not known yet"
            )
        return Entity(stored.floor, event, known, identity, columns)

    def merge(self, old: Entity | None, new: Entity, *, replace: bool) -> Entity:
        """The rows of both, without those that nobody will ask for.

        Where a state has other values at the same event time and moment of knowledge, the new ones hold if `replace`,
        else raises `Conflict`. The rows of a static view are replaced.
        """
        if old is None or self.kind == "static":
            return self.trim(new)
        joined = Entity(
            max(old.floor, new.floor),
            np.concatenate([old.event, new.event]),
            np.concatenate([old.known, new.known]),
            np.concatenate([old.identity, new.identity]),
            tuple(
                Values(np.concatenate([one.data, two.data]), np.concatenate([one.present, two.present]))
                for one, two in zip(old.columns, new.columns, strict=True)
            ),
        )
        if len(old.event) and len(new.event) and new.event[0] > old.event[-1]:  # as almost always: it is in order
            return self.trim(joined)
        return self.trim(self.order(joined, replace=replace))

    def order(self, rows: Entity, *, replace: bool) -> Entity:
        """Sorted, each event once; of several states of one time the last one given holds if `replace`."""
        return self.split(rows, np.zeros(len(rows.event), np.int64), 1, replace=replace)[0]

    def split(self, rows: Entity, code: Integers, entities: int, *, replace: bool) -> list[Entity]:
        """The rows of each of so many entities, whose codes are given, ordered as `order` does."""
        places = np.lexsort((rows.identity, rows.known, rows.event, code))
        ordered, code = rows.take(places), code[places]
        again = np.zeros(len(code), np.bool_)
        again[1:] = code[1:] == code[:-1]
        for key in (ordered.event, ordered.known, ordered.identity):
            again[1:] &= key[1:] == key[:-1]
        if again.any():
            if self.kind != "windowed" and not replace:
                self._refuse_ties(ordered, np.flatnonzero(again))
            # a stable sort leaves what was given last at the end
            kept = ~again if self.kind == "windowed" or not replace else np.append(~again[1:], True)
            ordered, code = ordered.take(kept), code[kept]
        starts = np.searchsorted(code, np.arange(entities + 1)).tolist()
        return [ordered.take(slice(*piece)) for piece in pairwise(starts)] if entities > 1 else [ordered]

    def trim(self, rows: Entity) -> Entity:
        """Without what nobody asks for who asks at most `REMEMBERED` before the newest that is known."""
        if self.kind == "static" or not len(rows.known):
            return rows
        since = int(rows.known.max()) - REMEMBERED
        if self.kind == "windowed":
            first = int(rows.event.searchsorted(since - self._longest))
        else:
            holding = np.flatnonzero((rows.event <= since) & (rows.known <= since))
            first = int(holding[-1]) if len(holding) else 0
        if not first:
            return rows
        return rows.take(slice(first, None))._replace(floor=max(rows.floor, since))

    def history(self, entities: Sequence[Entity]) -> History:
        """One history of several entities: their codes are their places."""
        lengths = [len(one.event) for one in entities]
        columns = []
        for place, kind in enumerate(self.types):
            data = [one.columns[place].data for one in entities]
            present = [one.columns[place].present for one in entities]
            columns.append(
                Values(
                    np.concatenate(data) if data else np.zeros(0, DTYPES[kind]),
                    np.concatenate(present) if present else np.zeros(0, np.bool_),
                )
            )
        starts = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=starts[1:])
        event = np.concatenate([one.event for one in entities]) if entities else np.zeros(0, np.int64)
        known = event if self._at_once or not entities else np.concatenate([one.known for one in entities])
        return History(
            starts=starts,
            event=event,
            known=known,
            identity=np.zeros(0, np.uint64),
            columns=tuple(columns),
        )

    def entity_of(self, history: History, code: int, until: int) -> Entity | None:
        """What may be known by `until` of one entity of a history."""
        rows = np.arange(history.starts[code], history.starts[code + 1])
        rows = rows[history.known[rows] <= until]
        if not len(rows):
            return None
        whole = Entity(BEGINNING, history.event, history.known, history.identity, history.columns)
        return self.trim(whole.take(rows))

    def _refuse_ties(self, rows: Entity, places: NDArray[np.intp]) -> None:
        for one in rows.columns:
            there = one.present[places]
            unlike = (there != one.present[places - 1]) | (there & (one.data[places] != one.data[places - 1]))
            if unlike.any():
                what = "holds one row an entity" if rows.event[places[0]] == ALWAYS else "has a row of that event time"
                raise Conflict(
                    f"view {self.view.view.name!r} {what} with other values already: nothing says which holds. "
                    "Give known_at where a later row corrects an earlier one",
                    view=self.view.view.name,
                )


def _values(column: _Column, kind: ColumnType) -> Values:
    present = np.frombuffer(column.present, np.bool_)
    if kind == "Text":
        if not isinstance(column.data, list):
            raise ValueError("a column of text is not one")
        data = np.empty(len(column.data), object)
        data[:] = column.data
        return Values(data, present)
    if not isinstance(column.data, bytes):
        raise ValueError("a column of numbers is not one")
    data = np.frombuffer(column.data, DTYPES[kind])
    if kind == "Float64" and not np.isfinite(data).all():
        raise ValueError("a number is not finite")
    return Values(data, present)
