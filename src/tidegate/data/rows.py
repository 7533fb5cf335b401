"""Rows to train and to judge a model on: the frame, its matrix and labels, and the name of exactly these rows."""

import functools
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import blake3
import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.data.matrix import encode_frame, infer_columns
from tidegate.data.records import DatasetVersion, Origin
from tidegate.kernel.clock import parse_instant, utc
from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column

if TYPE_CHECKING:
    import polars as pl

Cell = str | float | int | bool | None
"""A value of a row as `predict` takes it."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """How rows were chosen from a dataset version; with the version's digest it names them."""

    dataset: str
    features: tuple[str, ...]
    label: str | None
    order_by: str | None
    start: int = 0
    stop: int | None = None


class Rows:
    """Some rows of a dataset version, as a model takes them.

    Rows whose label is null, or whose place in the order is unknown, are left out and counted. Both halves of a
    `split` share the columns of the whole, so a category has the same code in each.
    """

    def __init__(
        self,
        frame: "pl.DataFrame",
        selection: Selection,
        *,
        columns: tuple[Column, ...],
        origin: Origin,
        left_out: int = 0,
    ) -> None:
        self.frame = frame
        """Every column of the dataset version, in the order of the matrix's rows."""
        self.columns = columns
        """The columns of the matrix, in order."""
        self.lineage: tuple[Origin, ...] = (origin,)
        """The dataset versions that the rows came from."""
        self.left_out = left_out
        """Rows of the version that are not here because their label or their place in the order is null."""
        self._selection = selection

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        names = ", ".join(column.name for column in self.columns)
        return f"<{len(self):,} rows of {self.lineage[0].label}: {names}>"

    @functools.cached_property
    def X(self) -> NDArray[np.float32]:
        """The features as a C-contiguous float32 matrix, shape (rows, columns), coded as `columns` say."""
        return encode_frame(self.frame, self.columns)

    @functools.cached_property
    def y(self) -> NDArray[Any]:
        """The labels, shape (rows,). Raises `Invalid` where none was chosen."""
        import polars as pl

        label = self._selection.label
        if label is None:
            raise Invalid("these rows have no label: choose one with data.rows(…, label=…)")
        series = self.frame.get_column(label)
        if series.dtype == pl.String:
            return np.array(series.to_list(), dtype=np.str_)
        return series.to_numpy()

    @property
    def label(self) -> str | None:
        """The column of the labels."""
        return self._selection.label

    @property
    def categorical(self) -> list[int]:
        """The places in the matrix that hold codes of categories."""
        return [place for place, column in enumerate(self.columns) if column.kind == "category"]

    @property
    def digest(self) -> str:
        """The name of exactly these rows: the BLAKE3 digest of the version's and of how they were chosen."""
        return blake3.blake3(msgspec.json.encode(self._selection, order="sorted")).hexdigest()

    def records(self) -> list[dict[str, Cell]]:
        """The features row by row, in the form that `predict` takes; NaN is null."""
        import polars as pl

        chosen = self.frame.select(column.name for column in self.columns)
        floats = [name for name, dtype in chosen.schema.items() if dtype == pl.Float64]
        return chosen.with_columns(pl.col(floats).fill_nan(None)).to_dicts()

    def split(
        self, *, before: datetime | date | str | float | None = None, at: int | None = None
    ) -> "tuple[Rows, Rows]":
        """The rows until a point and those from it on.

        ``before`` is a value of the column that the rows are ordered by; a day (``2013-10-01``) begins at midnight
        UTC. ``at`` is a number of rows. Raises `Invalid` unless both halves hold rows.
        """
        if (before is None) == (at is None):
            raise Invalid("split takes either before=… or at=…")
        point = at if at is not None else self._place(before)
        if not 0 < point < len(self):
            raise Invalid(f"a split at row {point:,} of {len(self):,} leaves one side empty: choose another point")
        return self._part(0, point), self._part(point, len(self))

    def _part(self, start: int, stop: int) -> "Rows":
        offset = self._selection.start
        selection = msgspec.structs.replace(self._selection, start=offset + start, stop=offset + stop)
        return Rows(self.frame.slice(start, stop - start), selection, columns=self.columns, origin=self.lineage[0])

    def _place(self, before: datetime | date | str | float | None) -> int:
        import polars as pl

        by = self._selection.order_by
        if by is None:
            raise Invalid("split(before=…) needs an order: choose it with data.rows(…, order_by=…)")
        series = self.frame.get_column(by)
        point: Any = before
        if isinstance(series.dtype, pl.Datetime):
            point = instant_of(before, by)
        elif series.dtype == pl.Date:
            point = _day(before, by)
        elif not series.dtype.is_numeric() or not isinstance(before, int | float):
            raise Invalid(f"split(before=…) needs an order by instants, dates or numbers; {by!r} is {series.dtype}")
        return int(series.to_frame().select(pl.col(by) < point).to_series().sum())


def choose_rows(
    frame: "pl.DataFrame",
    version: DatasetVersion,
    *,
    features: Sequence[str],
    label: str | None,
    order_by: str | None,
) -> Rows:
    """The rows of a version for a model. Raises `Invalid` for an absent column, or a label among the features."""
    import polars as pl

    for name in (*features, *(extra for extra in (label, order_by) if extra is not None)):
        if name not in frame.columns:
            raise Invalid(f"{version} has no column {name!r}; it has {', '.join(frame.columns)}", field=name)
    if not features or len(set(features)) < len(features):
        raise Invalid("features names at least one column, and each once")
    if label in features:
        raise Invalid(f"{label!r} is the label and a feature: a model would only repeat it")
    needed = [name for name in (label, order_by) if name is not None]
    floats = [name for name in needed if frame.schema[name].is_float()]
    kept = frame.with_columns(pl.col(floats).fill_nan(None)) if floats else frame
    kept = kept.drop_nulls(needed) if needed else kept
    if order_by is not None:
        kept = kept.sort(order_by, maintain_order=True)
    if not kept.height:
        raise Invalid(f"no row of {version} has a label and a place in the order: there is nothing to train on")
    selection = Selection(dataset=version.digest, features=tuple(features), label=label, order_by=order_by)
    return Rows(
        kept,
        selection,
        columns=infer_columns(kept.select(features)),
        origin=Origin(version.digest, str(version)),
        left_out=frame.height - kept.height,
    )


def instant_of(before: object, by: str) -> datetime:
    """The instant that bounds rows which are ordered `by` instants; a day begins at midnight UTC. Raises `Invalid`."""
    if isinstance(before, str):
        day = len(before) == 10
        return parse_instant(f"{before}T00:00:00Z" if day else before, f"the point {before!r}: instant")
    if isinstance(before, datetime):
        return utc(before)
    if isinstance(before, date):
        return datetime(before.year, before.month, before.day, tzinfo=UTC)
    raise Invalid(f"a point among instants ({by}) is an instant or a day, not {before!r}")


def _day(before: object, by: str) -> date:
    if isinstance(before, str):
        try:
            return date.fromisoformat(before)
        except ValueError as error:
            raise Invalid(f"split before={before!r}: write the day as 2013-10-01") from error
    if isinstance(before, date) and not isinstance(before, datetime):
        return before
    raise Invalid(f"the rows are ordered by days ({by}): give before= a day, not {before!r}")
