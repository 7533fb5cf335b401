"""Every column has one stored form; what cannot be brought there without loss is refused."""

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from tidegate.data.canonical import canonical
from tidegate.data.fragments import parquet_bytes
from tidegate.data.records import Contract, Field, Kind
from tidegate.kernel.errors import Invalid

NOON = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)


def contract(kind: Kind) -> Contract:
    categories = ("a", "b") if kind == "category" else ()
    return Contract((Field(name="x", kind=kind, nullable=True, categories=categories),))


def test_narrow_types_are_widened() -> None:
    frame = pl.DataFrame(
        {"a": [1], "b": [0.5], "c": ["é"], "d": [NOON]},
        schema={"a": pl.UInt8, "b": pl.Float32, "c": pl.Categorical, "d": pl.Datetime("ms", "Europe/Paris")},
    )
    stored = canonical(frame, None)
    assert stored.frame.dtypes == [pl.Int64, pl.Float64, pl.String, pl.Datetime("us", "UTC")]
    assert stored.kinds == ("integer", "number", "text", "instant")
    assert stored.frame["d"][0] == NOON


def test_the_same_rows_have_the_same_bytes_whatever_their_types_chunks_and_flags() -> None:
    wide = pl.DataFrame({"a": [1, None, 3], "t": ["x", None, ""], "f": [0.0, float("nan"), None]})
    narrow = wide.with_columns(pl.col("a").cast(pl.Int8), pl.col("t").cast(pl.Categorical))
    pieces = pl.concat([wide[:1], wide[1:]], rechunk=False)
    sliced = pl.concat([wide, wide]).slice(3, 3)
    one, *others = (parquet_bytes(canonical(frame, None).frame) for frame in (wide, narrow, pieces, sliced))
    assert all(other == one for other in others)


def test_every_nan_is_the_same() -> None:
    odd = pl.Series("f", np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype=np.uint64).view(np.float64))
    plain = pl.DataFrame({"f": [float("nan")] * 2})
    assert parquet_bytes(canonical(odd.to_frame(), None).frame) == parquet_bytes(canonical(plain, None).frame)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([dt.datetime(2013, 1, 1)], "without a time zone"),  # noqa: DTZ001 - naive on purpose
        ([Decimal("1.5")], "Decimal"),
        ([dt.timedelta(1)], "total_seconds"),
        ([[1, 2]], "column of its own"),
        ([{"a": 1}], "unnest"),
        ([b"x"], "artifact"),
        ([None], "nulls only"),
    ],
)
def test_a_type_that_is_not_stored_is_refused_with_a_remedy(values: list[object], complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        canonical(pl.DataFrame({"x": values}), None)


def test_a_naive_column_is_refused_under_a_contract_too() -> None:
    with pytest.raises(Invalid, match="without a time zone"):
        canonical(pl.DataFrame({"x": [dt.datetime(2013, 1, 1)]}), contract("instant"))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("kind", "series", "values"),
    [
        ("number", pl.Series([1, None]), [1.0, None]),
        ("integer", pl.Series([1.0, None, float("nan")]), [1, None, None]),
        ("category", pl.Series(["a", "b"]), ["a", "b"]),
        ("date", pl.Series([None, None]), [None, None]),
    ],
)
def test_what_loses_nothing_is_brought_to_the_kind_of_the_contract(
    kind: Kind, series: pl.Series, values: list[object]
) -> None:
    stored = canonical(series.alias("x").to_frame(), contract(kind))
    assert not stored.violations
    assert stored.frame["x"].to_list() == values


@pytest.mark.parametrize(
    ("kind", "series", "rows"),
    [
        ("integer", pl.Series([1.0, 1.5, None, 2.5]), (1, 3)),
        ("integer", pl.Series([1, 2**63], dtype=pl.UInt64), (1,)),
        ("number", pl.Series([1, 2**53 + 1]), (1,)),
        ("number", pl.Series(["a", None, "b"]), (0, 2)),
        ("text", pl.Series([1, 2]), (0, 1)),
        ("boolean", pl.Series([0, 1]), (0, 1)),
        ("instant", pl.Series([dt.date(2013, 1, 1)]), (0,)),
        ("instant", pl.Series([1], dtype=pl.Int64).cast(pl.Datetime("ns", "UTC")), (0,)),
    ],
)
def test_what_would_lose_something_is_named_by_its_rows(kind: Kind, series: pl.Series, rows: tuple[int, ...]) -> None:
    (violation,) = canonical(series.alias("x").to_frame(), contract(kind)).violations
    assert (violation.column, violation.rule, violation.rows) == ("x", "kind", rows)
    assert violation.count == len(rows)


def test_columns_missing_and_added_are_named_and_order_does_not_matter() -> None:
    both = Contract((Field(name="a", kind="integer"), Field(name="b", kind="integer")))
    stored = canonical(pl.DataFrame({"b": [2], "a": [1]}), both)
    assert stored.frame.columns == ["a", "b"]
    found = canonical(pl.DataFrame({"b": [2], "c": [1]}), both).violations
    assert {(one.column, one.rule) for one in found} == {("a", "missing"), ("c", "added")}
