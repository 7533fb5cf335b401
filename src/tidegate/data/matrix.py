"""Turns a frame into the float32 matrix that models train on and are served with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import LARGEST, Column, refuse_doubles

if TYPE_CHECKING:
    import polars as pl

Matrix = NDArray[np.float32]

REMEDIES = {
    "Date": "as a number of days, for instance pl.col(name).dt.epoch('d')",
    "Datetime": "as the hour or the seconds that matter, for instance pl.col(name).dt.hour()",
    "Duration": "as a number, for instance pl.col(name).dt.total_seconds()",
    "Time": "as a number, for instance pl.col(name).dt.hour()",
    "Decimal": "as pl.col(name).cast(pl.Float64)",
    "Null": "cast it to the type that it should have; it holds nulls only",
}


def infer_columns(frame: object) -> tuple[Column, ...]:
    """The columns of a Polars or pandas frame, in its order.

    Text, Categorical and Enum become categories (sorted by code point), integers and floats numbers, Boolean boolean.
    A column is nullable when it holds a null or a NaN. Any other type raises `Invalid` with a remedy.
    """
    table = as_polars(frame)
    return tuple(_infer(table.get_column(name)) for name in table.columns)


def encode_frame(frame: object, columns: Sequence[Column]) -> Matrix:
    """The columns of a Polars or pandas frame as a C-contiguous float32 matrix of shape (rows, columns).

    The coding is the one that `Column` states; other columns of the frame are ignored. Raises `Invalid` for a column
    that is absent or of another kind, and for an infinite or too large number, naming the row. Row for row and bit for
    bit this equals `models.signature.Encoder` where that serves unknown categories as null.
    """
    table = as_polars(frame)
    refuse_doubles(tuple(columns))
    matrix = np.empty((table.height, len(columns)), dtype=np.float32)
    for index, column in enumerate(columns):
        if column.name not in table.columns:
            raise Invalid(f"the frame has no column {column.name!r}; it has {', '.join(table.columns) or 'none'}")
        matrix[:, index] = _encode(table.get_column(column.name), column)
    matrix[np.isnan(matrix)] = np.nan  # one NaN: a float's NaN may carry a sign and a payload
    return matrix


def as_polars(frame: object) -> "pl.DataFrame":
    """The frame itself, or a pandas frame converted column by column. Raises `Invalid` for anything else."""
    import polars as pl

    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        raise Invalid("this is a lazy frame: call .collect() first")
    if type(frame).__module__.split(".")[0] == "pandas" and hasattr(frame, "columns"):
        pandas_frame: Any = frame
        return pl.DataFrame([_from_pandas(name, pandas_frame[name]) for name in pandas_frame.columns])
    raise Invalid(f"expected a Polars or pandas frame, got {type(frame).__name__}")


def _from_pandas(name: object, series: Any) -> "pl.Series":
    import polars as pl

    if not isinstance(name, str):
        raise Invalid(f"the name of column {name!r} is not text: rename it")
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iufb":
        return pl.Series(name, series.to_numpy())
    nulls = series.isna().tolist()
    try:
        return pl.Series(name, [None if null else value for value, null in zip(series.tolist(), nulls, strict=True)])
    except TypeError as error:
        raise Invalid(f"column {name!r} mixes types: cast it to one, for instance with .astype(str)") from error


def _infer(series: "pl.Series") -> Column:
    dtype = series.dtype
    nullable = series.null_count() > 0
    if dtype.is_float():
        return Column(series.name, "number", nullable or bool(series.is_nan().any()))
    if dtype.is_integer():
        return Column(series.name, "number", nullable)
    kind = str(dtype.base_type())
    if kind == "Boolean":
        return Column(series.name, "boolean", nullable)
    if kind in {"String", "Categorical", "Enum"}:
        return Column(series.name, "category", nullable, _categories(series))
    remedy = REMEDIES.get(kind, "as numbers, booleans or text")
    raise Invalid(
        f"column {series.name!r} has the type {dtype}, which models do not take: give it {remedy}, or drop it"
    )


def _categories(series: "pl.Series") -> tuple[str, ...]:
    import polars as pl

    if isinstance(series.dtype, pl.Enum):
        return tuple(sorted(series.dtype.categories.to_list()))
    return tuple(sorted(series.cast(pl.String).drop_nulls().unique().to_list()))


def _encode(series: "pl.Series", column: Column) -> NDArray[np.float64]:
    """Always by way of float64: an integer rounded to float32 at once may differ in the last bit."""
    import polars as pl

    dtype = series.dtype
    kind = str(dtype.base_type())
    if kind == "Null":
        return np.full(len(series), np.nan)
    if column.kind == "number" and dtype.is_numeric() and kind != "Decimal":
        return _finite(series.cast(pl.Float64).to_numpy(), column.name)
    if column.kind == "boolean" and kind == "Boolean":
        return series.cast(pl.Float64).to_numpy()
    if column.kind == "category" and kind in {"String", "Categorical", "Enum"}:
        codes = series.cast(pl.String).replace_strict(
            list(column.categories),
            [float(code) for code in range(len(column.categories))],
            default=None,
            return_dtype=pl.Float64,
        )
        return codes.to_numpy()
    raise Invalid(f"column {column.name!r} is a {column.kind} and the frame's has the type {dtype}: cast it")


def _finite(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    wrong = np.flatnonzero(np.abs(values) > LARGEST)
    if wrong.size:
        row = int(wrong[0])
        raise Invalid(
            f"rows[{row}].{name}: {values[row]:g} is infinite or beyond float32 "
            f"(so are {wrong.size:,} rows): make it null or clip it",
            row=row,
            field=name,
        )
    return values
