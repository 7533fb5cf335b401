"""Training sets: exactly the label rows, with the features as they were known at each row's instant."""

import functools
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Self

import blake3
import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.data.matrix import encode_frame
from tidegate.data.records import Origin
from tidegate.data.rows import instant_of
from tidegate.features.expressions import AnyExpression
from tidegate.features.records import AppliedService, Cell, Finding
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column

if TYPE_CHECKING:
    import polars as pl


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a training set was made; with the digests of what it was made from it names the rows."""

    service: str
    labels: str
    sources: tuple[str, ...]
    at: str
    label: AnyExpression
    label_known_at: str | None
    known_by: int | None
    since: int | None
    until: int | None
    extra: tuple[str, ...]
    parts: tuple[tuple[str, int], ...] = ()
    """The halves that were taken of it: `before` or `from`, and the instant."""


class TrainingSet:
    """Rows to train and to judge a model on.

    Satisfies what `models.log` and `gates.check` take. Rows whose label is not known stand in `frame`, and nowhere
    else.
    """

    def __init__(
        self,
        frame: "pl.DataFrame",
        recipe: Recipe,
        *,
        service: AppliedService,
        y: "pl.Series",
        columns: tuple[Column, ...],
        lineage: tuple[Origin, ...],
        lint: Callable[[], tuple[Finding, ...]],
    ) -> None:
        self.frame = frame
        """The label rows, in order, duplicates kept: their own columns, then the features."""
        self.columns = columns
        """The columns of the matrix, in order: request features, those of the views, extra columns."""
        self.lineage = lineage
        """The dataset versions that labels and features came from."""
        self.service = None if recipe.extra else service.digest
        """The digest of the feature service that completes requests for a model of these rows.

        None with extra columns, which the service does not know: a request then brings every feature itself.
        """
        self._applied = service
        self._recipe = recipe
        self._labels = y
        self._lint = lint

    def __len__(self) -> int:
        return self.labelled.height

    def __repr__(self) -> str:
        return f"<{len(self):,} labelled rows of {self.lineage[0].label} for {self._applied}, {self.left_out:,} out>"

    @functools.cached_property
    def labelled(self) -> "pl.DataFrame":
        """The rows whose label is known, in order: those of `X` and `y`."""
        return self.frame.filter(self._labels.is_not_null())

    @property
    def left_out(self) -> int:
        """How many rows of `frame` have no label, or none that was known in time."""
        return self._labels.null_count()

    @functools.cached_property
    def X(self) -> NDArray[np.float32]:
        """The features as a C-contiguous float32 matrix, shape (labelled rows, columns), coded as `columns` say."""
        return encode_frame(self.labelled, self.columns)

    @functools.cached_property
    def y(self) -> NDArray[Any]:
        """The labels, shape (labelled rows,)."""
        import polars as pl

        known = self._labels.drop_nulls()
        return np.array(known.to_list(), dtype=np.str_) if known.dtype == pl.String else known.to_numpy()

    @property
    def categorical(self) -> list[int]:
        """The places in the matrix that hold codes of categories."""
        return [place for place, column in enumerate(self.columns) if column.kind == "category"]

    @property
    def digest(self) -> str:
        """The name of exactly these rows: the BLAKE3 digest of how they were made, and of what."""
        return blake3.blake3(msgspec.json.encode(self._recipe, order="sorted")).hexdigest()

    @functools.cached_property
    def lint(self) -> tuple[Finding, ...]:
        """What a careful person should know before trusting these rows, with numbers. Computed when first asked."""
        return self._lint()

    def records(self) -> list[dict[str, Cell]]:
        """The labelled rows with all their features, in the form that a model's `predict` takes."""
        return self.labelled.select(column.name for column in self.columns).to_dicts()

    def requests(self) -> list[dict[str, Cell]]:
        """Every row of `frame` as a request brings it: entity keys and request features."""
        names = [name for view in self._applied.views for name in view.view.entity]
        return self.frame.select(list(dict.fromkeys([*names, *self._applied.service.request]))).to_dicts()

    def split(self, *, before: datetime | date | str) -> tuple[Self, Self]:
        """The rows whose instant is before a point, and the others; each half in order, with the columns of the whole.

        A day (``2013-10-01``) begins at midnight UTC. Raises `Invalid` unless both halves hold rows.
        """
        import polars as pl

        point = instant_of(before, self._recipe.at)
        first = self.frame.select((pl.col(self._recipe.at) < point).fill_null(False)).to_series()
        if not 0 < first.sum() < len(first):
            raise Invalid(f"a split before {point.isoformat()} leaves one side empty: choose another point")
        return self._part("before", first, point), self._part("from", ~first, point)

    def _part(self, side: str, rows: "pl.Series", point: datetime) -> Self:
        recipe = msgspec.structs.replace(self._recipe, parts=(*self._recipe.parts, (side, to_micros(point))))
        return type(self)(
            self.frame.filter(rows),
            recipe,
            service=self._applied,
            y=self._labels.filter(rows),
            columns=self.columns,
            lineage=self.lineage,
            lint=lambda: self.lint,
        )
