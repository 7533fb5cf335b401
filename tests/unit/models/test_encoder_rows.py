"""Rows become a matrix, surprises follow the declared policy and are counted, errors name row and field."""

from typing import Any, Literal

import numpy as np
import pytest

from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import LARGEST, Column
from tidegate.models.signature import Encoder, Signature

COLUMNS = (
    Column("distance", "number", False),
    Column("wind", "number", True),
    Column("low", "boolean", False),
    Column("carrier", "category", False, ("AA", "B6", "UÄ")),
)
ROW: dict[str, Any] = {"distance": 1400, "wind": 3.5, "low": True, "carrier": "B6"}
TOO_LARGE = "got one that is infinite or beyond float32"
Policy = Literal["null", "refuse"]


def encoder(unknown: Policy = "null", missing: Policy = "null") -> Encoder:
    return Encoder(
        Signature(columns=COLUMNS, task="regression", unknown_category=unknown, missing_feature=missing),
    )


def test_rows_become_a_matrix() -> None:
    encoded = encoder("refuse", "refuse").encode([ROW, {**ROW, "wind": None, "carrier": "UÄ", "low": False}])
    wanted = np.array([[1400, 3.5, 1, 1], [1400, np.nan, 0, 2]], dtype=np.float32)
    np.testing.assert_array_equal(encoded.matrix, wanted, strict=True)
    assert encoded.matrix.flags.c_contiguous
    assert encoded.matrix.flags.writeable
    assert (encoded.unknown, encoded.missing) == ({}, {})


def test_a_row_that_is_not_plain_leaves_the_others_as_they_are() -> None:
    """Plain rows are coded by columns, others value by value: the codes are the same."""
    plain = [{**ROW, "distance": number} for number in (0, -0.0, 1e-45, 2**53 + 1, -(2**70), LARGEST / 1.01)]
    plain += [{**ROW, "wind": None}, ROW]
    by_columns = encoder()._plain(plain)
    assert by_columns is not None
    by_value = encoder("refuse", "refuse").encode([*plain, {**ROW, "wind": float("nan")}]).matrix
    assert by_columns.tobytes() == by_value[:-1].tobytes()
    for surprise in ({"distance": None}, {"carrier": "ZZ", "wind": None}, {"carrier": None}, {"low": None}):
        assert encoder()._plain([*plain, {**ROW, **surprise}]) is None, "it has to be counted"
    one = Encoder(Signature(columns=COLUMNS[:1], task="regression"))
    assert one.encode([{"distance": 1}, {"distance": 2.5}]).matrix.tolist() == [[1.0], [2.5]]


def test_no_rows_are_a_matrix_without_rows() -> None:
    assert encoder().encode([]).matrix.shape == (0, 4)


def test_surprises_are_served_as_null_and_counted() -> None:
    rows = [
        {**ROW, "carrier": "ZZ"},
        {**ROW, "carrier": "aa", "distance": None},
        {"wind": 1.0, "low": True},
        {**ROW, "wind": float("nan"), "low": float("nan")},
    ]
    encoded = encoder().encode(rows)
    assert encoded.unknown == {"carrier": 2}
    assert encoded.missing == {"distance": 2, "carrier": 1, "low": 1}
    assert np.isnan(encoded.matrix).tolist() == [
        [False, False, False, True],
        [True, False, False, True],
        [True, False, False, True],
        [False, True, True, False],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": "abc"}, "rows[1].distance: expected a number, got 'abc'"),
        ({"distance": True}, "rows[1].distance: expected a number, got true"),
        ({"distance": None}, "rows[1].distance: expected a number, got null"),
        ({"wind": []}, "rows[1].wind: expected a number or null, got a list"),
        ({"wind": {}}, "rows[1].wind: expected a number or null, got an object"),
        (
            {"wind": float("-inf")},
            "rows[1].wind: expected a number or null, " + TOO_LARGE,
        ),
        ({"wind": LARGEST * (1 + 1e-9)}, "rows[1].wind: expected a number or null, " + TOO_LARGE),
        ({"wind": -LARGEST * (1 + 1e-9)}, "rows[1].wind: expected a number or null, " + TOO_LARGE),
        ({"wind": 10**400}, "rows[1].wind: expected a number or null, " + TOO_LARGE),
        ({"low": 1}, "rows[1].low: expected true or false, got 1"),
        ({"low": 10**5000}, "rows[1].low: expected true or false, got a huge integer"),
        ({"low": "true"}, "rows[1].low: expected true or false, got 'true'"),
        ({"carrier": 6}, "rows[1].carrier: expected one of 'AA', 'B6', 'UÄ', got 6"),
        ({"carrier": "AAA"}, "rows[1].carrier: expected one of 'AA', 'B6', 'UÄ', got 'AAA'; did you mean 'AA'?"),
        ({"distanc": 1}, "rows[1].distanc: there is no such field; did you mean 'distance'?"),
        ({"": 1}, "rows[1].: there is no such field; the fields are 'distance', 'wind', 'low', 'carrier'"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        encoder("refuse", "refuse").encode([ROW, {**ROW, **change}])
    assert caught.value.message == message
    assert caught.value.details["row"] == 1
    assert caught.value.details["field"] == next(iter(change))


def test_a_misspelt_field_is_named_before_the_one_that_it_leaves_missing() -> None:
    row = {"distnce" if name == "distance" else name: value for name, value in ROW.items()}
    for missing in ("null", "refuse"):
        with pytest.raises(Invalid, match=r"rows\[0\]\.distnce: .* did you mean 'distance'"):
            encoder(missing=missing).encode([row])


def test_a_missing_feature_is_refused_where_declared() -> None:
    row = {name: value for name, value in ROW.items() if name != "wind"}
    with pytest.raises(Invalid, match=r"rows\[0\]\.wind: expected a number or null, it is missing"):
        encoder(missing="refuse").encode([row])


@pytest.mark.parametrize("row", [None, [], "row", 1])
def test_a_row_is_an_object(row: Any) -> None:
    with pytest.raises(Invalid, match=r"rows\[0\]: expected an object of named values"):
        encoder().encode([row])


def test_a_hostile_value_is_shown_short() -> None:
    with pytest.raises(Invalid) as caught:
        encoder("refuse").encode([{**ROW, "carrier": "x" * 10_000_000}])
    assert len(caught.value.message) < 300


def test_numpy_scalars_are_the_values_that_they_hold() -> None:
    row = {"distance": np.int64(1400), "wind": np.float32(3.5), "low": np.bool_(True), "carrier": np.str_("B6")}
    plain = encoder("refuse", "refuse").encode([ROW])
    np.testing.assert_array_equal(encoder("refuse", "refuse").encode([row]).matrix, plain.matrix, strict=True)


@pytest.mark.parametrize("value", [3.4028234663852886e38, -3.4028234663852886e38, 2**127, 5e-324, -0.0])
def test_the_largest_and_smallest_numbers_have_a_coding(value: float) -> None:
    matrix = encoder().encode([{**ROW, "wind": value}]).matrix
    assert np.isfinite(matrix).all()
    assert matrix[0, 1] == np.float32(value)
