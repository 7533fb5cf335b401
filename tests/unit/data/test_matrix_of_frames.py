"""A frame becomes a matrix: kinds inferred, values coded, what has no coding refused by name."""

import datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from tidegate.data.matrix import encode_frame, infer_columns
from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column


def test_columns_are_inferred() -> None:
    frame = pl.DataFrame(
        {
            "distance": [1, 2, 3],
            "wind": [1.0, float("nan"), 2.0],
            "gust": [1.0, None, 2.0],
            "low": [True, False, None],
            "carrier": ["UA", "Ä", "B6"],
            "origin": pl.Series(["b", "a", None], dtype=pl.Categorical),
            "season": pl.Series(["summer", "summer", "summer"], dtype=pl.Enum(["winter", "summer"])),
        }
    )
    assert infer_columns(frame) == (
        Column("distance", "number", False),
        Column("wind", "number", True),
        Column("gust", "number", True),
        Column("low", "boolean", True),
        Column("carrier", "category", False, ("B6", "UA", "Ä")),
        Column("origin", "category", True, ("a", "b")),
        Column("season", "category", False, ("summer", "winter")),
    )


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC), "dt.hour"),
        (datetime.date(2013, 1, 1), "dt.epoch"),
        (Decimal("1.5"), "cast"),
        ([1, 2], "numbers, booleans or text"),
        (None, "nulls only"),
    ],
)
def test_other_types_are_refused_by_name_with_a_remedy(value: object, remedy: str) -> None:
    with pytest.raises(Invalid, match=f"'departed'.*{remedy}"):
        infer_columns(pl.DataFrame({"departed": [value]}))


def test_values_are_coded() -> None:
    values = {"b": [True, None, False], "n": [1, None, 2**60 + 1], "c": ["y", "new", None]}
    frame = pl.DataFrame({**values, "other": ["x"] * 3})
    columns = (Column("c", "category", True, ("x", "y")), Column("n", "number", True), Column("b", "boolean", True))
    matrix = encode_frame(frame, columns)
    nan = np.nan
    wanted = np.array([[1, 1, 1], [nan, nan, nan], [nan, 2**60, 0]], dtype=np.float32)
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, wanted, strict=True)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e39, 3.5e38])
def test_numbers_without_a_coding_are_refused(value: float) -> None:
    with pytest.raises(Invalid, match=r"rows\[1\]\.wind: .* infinite or beyond float32") as caught:
        encode_frame(pl.DataFrame({"wind": [1.0, value]}), [Column("wind", "number", False)])
    assert caught.value.details == {"row": 1, "field": "wind"}


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        (Column("absent", "number", False), "no column 'absent'; it has wind"),
        (Column("wind", "category", False, ("a",)), "'wind' is a category and the frame's has the type Float64"),
        (Column("wind", "boolean", False), "'wind' is a boolean"),
    ],
)
def test_an_absent_or_other_column_is_refused(column: Column, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        encode_frame(pl.DataFrame({"wind": [1.0]}), [column])


@pytest.mark.parametrize("thing", [pl.LazyFrame({"a": [1]}), [[1.0]], "flights.csv"])
def test_what_is_no_frame_is_refused(thing: object) -> None:
    with pytest.raises(Invalid, match="frame"):
        infer_columns(thing)


def test_a_pandas_frame_is_read_like_a_polars_one() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1.5, np.nan], "i": [1, 2], "c": ["x", None], "b": [True, False]})
    polars = pl.DataFrame({"n": [1.5, None], "i": [1, 2], "c": ["x", None], "b": [True, False]})
    columns = infer_columns(frame)
    assert columns == infer_columns(polars)
    np.testing.assert_array_equal(encode_frame(frame, columns), encode_frame(polars, columns))
