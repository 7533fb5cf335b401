"""Histories of whole sources, as Polars reads them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.features.batch_expressions import compute_columns, polars_type
from tidegate.features.expressions import SourceType
from tidegate.features.history import ALWAYS, NOBODY, UNKNOWN, History, Integers, Values, arguments_of
from tidegate.features.identity import Words, identify, words_of_numbers, words_of_texts
from tidegate.features.records import AppliedView
from tidegate.features.rules import needed_columns
from tidegate.kernel.clock import from_micros
from tidegate.kernel.errors import Invalid

if TYPE_CHECKING:
    import polars as pl


class Batch(NamedTuple):
    """The history of a source, and whose row is whose."""

    history: History
    keys: "pl.DataFrame"
    """The entity columns, and the ``code`` of each entity."""
    never_known: int
    """Rows without an entity, an event time or a moment of knowledge: they were left out."""
    duplicates: int
    """Rows that equal an earlier one in all their columns: one event, counted once."""


class Source:
    """The rows of one dataset version, for every view that is computed from it."""

    def __init__(self, frame: "pl.DataFrame", types: Mapping[str, SourceType], label: str) -> None:
        self._frame = frame
        self._types = types
        self._label = label
        self._words: dict[tuple[str, ...], Words] = {}

    def batch(self, view: AppliedView, known_at: str | None = None) -> Batch:
        """The history of a view. `known_at` is another column to take the moments of knowledge from.

        Raises `Invalid` for columns that are absent or of another type than when the view was applied, and for ties.
        """
        import polars as pl

        windowed = view.view.kind == "windowed"
        self._check(view, tuple(view.columns) if windowed else needed_columns(view))
        times = self._frame.select(self._times(view, known_at))
        rows = np.flatnonzero(_whole(pl.concat([self._frame.select(view.view.entity), times], how="horizontal")))
        picked = self._frame[rows] if len(rows) < self._frame.height else self._frame
        times = times[rows]
        arguments = arguments_of(view)
        computed = compute_columns(picked, {name: one for name, (one, _) in arguments.items()}, view.columns)
        codes, keys = _coded(picked, view.view.entity)
        identity = np.zeros(picked.height, np.uint64)
        if windowed:
            identity = self._identities(tuple(view.columns))[rows]
        event, known = map(_integers, times.get_columns())
        sorted_ = _Sorted(codes, event, known, identity)
        columns = [values_of(computed[name].cast(polars_type(kind))) for name, (_, kind) in arguments.items()]
        history, duplicates = sorted_.history(view, columns, keys)
        return Batch(history, keys, self._frame.height - picked.height, duplicates)

    def _times(self, view: AppliedView, known_at: str | None) -> "list[pl.Expr]":
        import polars as pl

        defined = view.view
        if defined.event_time is None:
            always = pl.repeat(ALWAYS, pl.len(), dtype=pl.Int64)
            return [always.alias("event of the row"), always.alias("row is known")]
        event = pl.col(defined.event_time).to_physical()
        known_at = known_at or defined.known_at
        known = event + (defined.delay or 0) if known_at is None else pl.col(known_at).to_physical()
        return [event.alias("event of the row"), known.alias("row is known")]

    def _check(self, view: AppliedView, columns: tuple[str, ...]) -> None:
        for name in columns:
            if self._types.get(name) != view.columns[name]:
                raise Invalid(
                    f"view {view.view.name!r} reads {name!r} of {self._label} as {view.columns[name]}, and it is "
                    f"{self._types.get(name) or 'absent'} there: apply the view again",
                    view=view.view.name,
                    column=name,
                )

    def _identities(self, columns: tuple[str, ...]) -> Words:
        if columns not in self._words:
            words = []
            for name in columns:
                series = self._frame[name]
                if self._types[name] == "Text":
                    words.append(_words(series))
                else:
                    words.append(words_of_numbers(*values_of(series.to_physical())))
            self._words[columns] = identify(words)
        return self._words[columns]


class _Sorted:
    """Rows in the order of a history."""

    def __init__(self, codes: Integers, event: Integers, known: Integers, identity: Words) -> None:
        self._order = np.lexsort((identity, known, event, codes))
        self._codes, self._event, self._known = (one[self._order] for one in (codes, event, known))
        self._identity = identity[self._order]

    def history(self, view: AppliedView, columns: list[Values], keys: "pl.DataFrame") -> tuple[History, int]:
        """The history, without rows that are there twice, and how many were. Raises `Invalid` for ties."""
        columns = [Values(one.data[self._order], one.present[self._order]) for one in columns]
        again = np.zeros(len(self._order), np.bool_)
        if len(again):
            again[1:] = (
                (self._codes[1:] == self._codes[:-1])
                & (self._event[1:] == self._event[:-1])
                & (self._known[1:] == self._known[:-1])
                & (self._identity[1:] == self._identity[:-1])
            )
        if view.view.kind != "windowed" and again.any():
            self._refuse_ties(view, columns, again, keys)
        first = ~again
        event, known = self._event[first], self._known[first]
        history = History(
            starts=np.searchsorted(self._codes[first], np.arange(keys.height + 1)).astype(np.int64),
            event=event,
            known=event if np.array_equal(event, known) else known,
            identity=self._identity[first],
            columns=tuple(Values(one.data[first], one.present[first]) for one in columns),
        )
        return history, int(again.sum())

    def _refuse_ties(
        self, view: AppliedView, columns: list[Values], again: NDArray[np.bool_], keys: "pl.DataFrame"
    ) -> None:
        rows = np.flatnonzero(again)
        if view.view.event_time is not None:
            differs = np.zeros(len(rows), np.bool_)
            for one in columns:
                unlike = one.data[rows] != one.data[rows - 1]
                there = one.present[rows]
                differs |= (there != one.present[rows - 1]) | (there & unlike)
            rows = rows[differs]
        if not len(rows):
            return
        entity = keys.row(int(self._codes[rows[0]]), named=True)
        entity.pop("code")
        when = "" if view.view.event_time is None else f" at {from_micros(int(self._event[rows[0]])).isoformat()}"
        raise Invalid(
            f"view {view.view.name!r}: {len(rows):,} rows of {view.view.source} repeat an entity"
            f"{' and an event time with other values' if when else ''}, for instance {entity}{when}: nothing says "
            "which holds. Keep one, or give known_at where a later row corrects an earlier one",
            view=view.view.name,
            rows=len(rows),
        )


def codes_of(frame: "pl.DataFrame", view: AppliedView, keys: "pl.DataFrame") -> Integers:
    """The code of each row's entity: `UNKNOWN` where the source has none, `NOBODY` where its key is null.

    Raises `Invalid` for a key that the rows lack, or have with another type.
    """
    entity = list(view.view.entity)
    for name in entity:
        if name not in frame.columns:
            raise Invalid(f"the label rows have no column {name!r}, the entity of view {view.view.name!r}", field=name)
        if frame.schema[name] != keys.schema[name]:
            raise Invalid(
                f"the label rows' {name!r} is of type {frame.schema[name]}, in {view.view.source} it is "
                f"{keys.schema[name]}: no entity would be found",
                field=name,
            )
    joined = frame.select(entity).join(keys, on=entity, how="left", maintain_order="left")
    return np.where(_whole(frame.select(entity)), joined["code"].fill_null(UNKNOWN).to_numpy(), NOBODY)


def values_of(series: "pl.Series") -> Values:
    """A column as numpy has it."""
    import polars as pl

    present = series.is_not_null().to_numpy()
    if series.dtype == pl.String:
        return Values(np.array(series.to_list(), dtype=object), present)
    filled: Any = False if series.dtype == pl.Boolean else 0
    return Values(series.fill_null(filled).to_numpy(), present)


def series_of(name: str, values: Values, kind: Any) -> "pl.Series":
    """A column as Polars has it."""
    import polars as pl

    if kind == "Text":
        return pl.Series(name, values.cells(), dtype=pl.String())
    made = pl.Series(name, values.data).cast(polars_type(kind))
    return made.set(pl.Series(~values.present), None)


def _coded(frame: "pl.DataFrame", entity: tuple[str, ...]) -> "tuple[Integers, pl.DataFrame]":
    import polars as pl

    names = list(entity)
    keys = frame.select(names).unique(maintain_order=True).with_row_index("code").cast({"code": pl.Int64})
    codes = frame.select(names).join(keys, on=names, how="left", maintain_order="left")["code"]
    return codes.to_numpy(), keys


def _words(texts: "pl.Series") -> Words:
    """As `words_of_texts`, each distinct text looked at once."""
    import polars as pl

    distinct = texts.unique()
    words = pl.DataFrame({"text": distinct, "word": words_of_texts(distinct.to_list())})
    joined = texts.to_frame("text").join(words, on="text", how="left", nulls_equal=True, maintain_order="left")
    return joined["word"].to_numpy()


def _whole(frame: "pl.DataFrame") -> NDArray[np.bool_]:
    """The rows in which nothing is null."""
    import polars as pl

    return frame.select(pl.all_horizontal(pl.all().is_not_null()).alias("whole"))["whole"].to_numpy()


def _integers(series: "pl.Series") -> Integers:
    import polars as pl

    return series.cast(pl.Int64).to_numpy()
