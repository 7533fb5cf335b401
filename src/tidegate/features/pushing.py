"""Rows of a source, one by one, as the histories of the entities that they belong to."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tidegate.features.cells import read_cell, wrong
from tidegate.features.expressions import ColumnType, compute_row
from tidegate.features.history import ALWAYS, DTYPES, Values, arguments_of
from tidegate.features.identity import Words, identify, words_of_numbers, words_of_texts
from tidegate.features.online import entity_key
from tidegate.features.packed import BEGINNING, Entity, Layout
from tidegate.features.records import AppliedView
from tidegate.features.rules import needed_columns
from tidegate.kernel.clock import from_micros
from tidegate.kernel.errors import Invalid


class Batch(NamedTuple):
    """Pushed rows by entity."""

    entities: dict[str, Entity]
    left_out: int
    """Rows that are never known: without an entity, an event time or a moment of knowledge."""


class Pusher:
    """Reads pushed rows for one version of a view."""

    def __init__(self, view: AppliedView) -> None:
        self.layout = Layout(view)
        self._view = view
        self._windowed = view.view.kind == "windowed"
        self._needed = tuple(view.columns) if self._windowed else needed_columns(view)
        self._arguments = [
            (compute_row(expression, view.columns), kind) for expression, kind in arguments_of(view).values()
        ]

    def read(self, rows: Sequence[Mapping[str, Any]], now: int) -> Batch:
        """The rows by entity; all of them, or `Invalid` naming the row and the field."""
        kept: list[dict[str, Any]] = []
        keys: list[str] = []
        times: list[tuple[int, int]] = []
        for index, row in enumerate(rows):
            cells = self._cells(index, row)
            time = self._time(index, cells, now)
            names = [cells[name] for name in self._view.view.entity]
            if time is None or None in names:
                continue
            kept.append(cells)
            keys.append(entity_key(names))
            times.append(time)
        whole = self._whole(kept, times)
        places: dict[str, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, []).append(place)
        entities = {key: self.layout.order(whole.take(np.array(some)), replace=False) for key, some in places.items()}
        return Batch(entities, len(rows) - len(kept))

    def _cells(self, index: int, row: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(row, Mapping):
            raise Invalid(f"rows[{index}]: expected an object of named values", row=index)
        for name in row:
            if name not in self._view.columns:
                known = ", ".join(list(self._view.columns)[:20])
                raise wrong(index, str(name), f"{self._view.view.source} has no such column; it has {known}")
        for name in self._needed:
            if name not in row:
                why = "a windowed view takes whole rows" if self._windowed else "the view reads it"
                raise wrong(index, name, f"it is missing, and {why}: give null where it has no value")
        return {name: read_cell(value, self._view.columns[name], index, name) for name, value in row.items()}

    def _time(self, index: int, cells: Mapping[str, Any], now: int) -> tuple[int, int] | None:
        """Event time and moment of knowledge; None for a row that is never known."""
        view = self._view.view
        if view.event_time is None:
            return ALWAYS, ALWAYS
        event = cells[view.event_time]
        known = cells[view.known_at] if view.known_at is not None else event
        if event is None or known is None:
            return None
        known += view.delay or 0
        if known > now:
            field = view.known_at or view.event_time
            raise wrong(
                index, field, f"the row is known only from {_told(known)} on, and it is {_told(now)}: push it then"
            )
        return event, known

    def _whole(self, rows: list[dict[str, Any]], times: list[tuple[int, int]]) -> Entity:
        columns = tuple(_values([compute(row) for row in rows], kind) for compute, kind in self._arguments)
        event, known = (np.array([time[place] for time in times], np.int64) for place in (0, 1))
        identity = self._identity(rows) if self._windowed else np.zeros(len(rows), np.uint64)
        return Entity(BEGINNING, event, known, identity, columns)

    def _identity(self, rows: list[dict[str, Any]]) -> Words:
        words = []
        for name, kind in self._view.columns.items():
            cells = [row[name] for row in rows]
            if kind == "Text":
                words.append(words_of_texts(cells))
            else:
                words.append(words_of_numbers(*_values(cells, _PLAIN.get(kind, kind))))
        return identify(words)


_PLAIN: dict[str, Any] = {"Instant": "Int64", "Date": "Int64"}


def _values(cells: list[Any], kind: ColumnType) -> Values:
    present = np.array([cell is not None for cell in cells], np.bool_)
    if kind == "Text":
        data = np.empty(len(cells), object)
        data[:] = [cell or "" for cell in cells]
        return Values(data, present)
    return Values(np.array([0 if cell is None else cell for cell in cells], DTYPES[kind]), present)


def _told(micros: int) -> str:
    try:
        return from_micros(micros).isoformat()
    except OverflowError:
        return "beyond the year 9999"
