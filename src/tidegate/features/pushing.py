"""Rows of a source, one by one, as the histories of the entities that they belong to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.features.cells import read_column, wrong
from tidegate.features.expressions import ColumnOf, Constant, SourceType, compute_row
from tidegate.features.history import ALWAYS, arguments_of
from tidegate.features.identity import identify, words_of_numbers, words_of_texts
from tidegate.features.online import entity_key
from tidegate.features.packed import Entity, Layout, Rows
from tidegate.features.records import AppliedView
from tidegate.features.rules import needed_columns
from tidegate.kernel.clock import from_micros
from tidegate.kernel.errors import Invalid


class Batch(NamedTuple):
    """Pushed rows by entity."""

    entities: dict[str, Entity]
    left_out: int
    """Rows that are never known: without an entity, an event time or a moment of knowledge."""


class Told:
    """The rows of one push, read once for all views that they are told to."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows
        self._columns: Mapping[str, SourceType] = {}
        self._cells: dict[str, list[Any]] = {}
        self._identity: list[int] | None = None

    def cells(self, columns: Mapping[str, SourceType]) -> dict[str, list[Any]]:
        """The values by column; null where a row does not give one."""
        if columns != self._columns or not self._cells:
            self._cells = {
                name: read_column([row.get(name) for row in self.rows], columns[name], name) for name in columns
            }
            self._columns, self._identity = columns, None
        return self._cells

    def identity(self, columns: Mapping[str, SourceType]) -> list[int]:
        """Which row of the source each is."""
        cells = self.cells(columns)
        if self._identity is None:
            self._identity = _identity(cells, columns)
        return self._identity


class Pusher:
    """Reads pushed rows for one version of a view. Thread-safe."""

    def __init__(self, view: AppliedView) -> None:
        self.layout = Layout(view)
        self._view = view
        self._windowed = view.view.kind == "windowed"
        self._needed = tuple(view.columns) if self._windowed else needed_columns(view)
        arguments = list(arguments_of(view).values())
        expressions = [arguments[place][0] for place in self.layout.kept]
        self._arguments = [(one, compute_row(one, view.columns)) for one in expressions]

    def read(self, told: Told, now: int) -> Batch:
        """The rows by entity; all of them, or `Invalid` naming the row and the field."""
        self._check(told.rows)
        rows = len(told.rows)
        cells = told.cells(self._view.columns)
        identity = told.identity(self._view.columns) if self._windowed else [0] * rows
        times = self._times(cells, rows)
        names = list(zip(*[cells[name] for name in self._view.view.entity], strict=True))
        kept = self._kept(times, names, now)
        counts = Counter([names[row] for row in kept])
        codes = {name: code for code, name in enumerate(counts)}
        keys = list(zip(map(codes.get, names), *times, identity, strict=True))
        kept.sort(key=keys.__getitem__)
        event, known, identity = ([column[row] for row in kept] for column in (*times, identity))
        whole = self.layout.pack(Rows(event, known, identity, self._columns(cells, kept)))
        ends = accumulate(counts.values())
        parts = [whole.part(end - count, end) for end, count in zip(ends, counts.values(), strict=True)]
        if len({keys[row] for row in kept}) < len(kept):  # an event is there twice
            parts = [self.layout.ordered(part, replace=False) for part in parts]
        return Batch(dict(zip(map(entity_key, counts), parts, strict=True)), rows - len(kept))

    def _check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """A row may leave out a column that the view does not read, and no other."""
        whole = self._view.columns.keys()
        for index, row in enumerate(rows):
            if type(row) is not dict and not isinstance(row, Mapping):
                raise Invalid(f"rows[{index}]: expected an object of named values", row=index)
            if row.keys() != whole:
                self._check_fields(index, row)

    def _check_fields(self, index: int, row: Mapping[str, Any]) -> None:
        for name in row:
            if name not in self._view.columns:
                known = ", ".join(list(self._view.columns)[:20])
                raise wrong(index, str(name), f"{self._view.view.source} has no such column; it has {known}")
        for name in self._needed:
            if name not in row:
                why = "a windowed view takes whole rows" if self._windowed else "the view reads it"
                raise wrong(index, name, f"it is missing, and {why}: give null where it has no value")

    def _times(self, cells: Mapping[str, list[Any]], rows: int) -> list[list[Any]]:
        """Event times and moments of knowledge."""
        view = self._view.view
        if view.event_time is None:
            return [[ALWAYS] * rows] * 2
        event = cells[view.event_time]
        if view.known_at is not None:
            return [event, cells[view.known_at]]
        return [event, [None if one is None else one + view.delay for one in event] if view.delay else event]

    def _kept(self, times: list[list[Any]], names: list[tuple[Any, ...]], now: int) -> list[int]:
        """The rows that are known by now. Raises `Invalid` for one that is known later."""
        kept = []
        for row, (event, known, name) in enumerate(zip(*times, names, strict=True)):
            if event is None or known is None:
                continue
            if known > now:
                field = self._view.view.known_at or self._view.view.event_time or ""
                raise wrong(
                    row, field, f"the row is known only from {_told(known)} on, and it is {_told(now)}: push it then"
                )
            if None not in name:
                kept.append(row)
        return kept

    def _columns(self, cells: Mapping[str, list[Any]], rows: Sequence[int]) -> list[list[Any]]:
        """What is packed of these rows."""
        columns = []
        for expression, compute in self._arguments:
            if isinstance(expression, ColumnOf):
                columns.append([cells[expression.name][row] for row in rows])
            elif isinstance(expression, Constant):
                columns.append([expression.value] * len(rows))
            else:
                columns.append([compute({name: column[row] for name, column in cells.items()}) for row in rows])
        return columns


def _identity(cells: Mapping[str, list[Any]], columns: Mapping[str, SourceType]) -> list[int]:
    words = {name: words_of_texts(cells[name]) for name, kind in columns.items() if kind == "Text"}
    floats = [name for name, kind in columns.items() if kind == "Float64"]
    integers = [name for name in columns if name not in words and name not in floats]
    for names, dtype in ((floats, np.float64), (integers, np.int64)):  # of each at once: rows are few
        columns_of = [cells[name] for name in names]
        present = np.array([[cell is not None for cell in column] for column in columns_of], np.bool_)
        numbers = [[0 if cell is None else cell for cell in one] if None in one else one for one in columns_of]
        data: NDArray[Any] = np.array(numbers, dtype)
        words |= zip(names, words_of_numbers(data, present), strict=True)
    named: list[int] = identify([words[name] for name in columns]).tolist()
    return named


def _told(micros: int) -> str:
    try:
        return from_micros(micros).isoformat()
    except OverflowError:
        return "beyond the year 9999"
