"""A column that is read at once is what its values are one by one, also where they are refused."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.features.cells import read_cell, read_column
from tidegate.features.expressions import SourceType
from tidegate.kernel.errors import Invalid

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**63, -(2**63), 10**400]),
    st.floats(),
    st.sampled_from([1.7e308, -0.0]),
    st.text(max_size=3),
    st.sampled_from(["\ud800", "2013-06-01", "2013-06-01T00:00:00Z", "2013-06-01T00:00:00+02:00", "2013-06-01T00:00"]),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "2013-06-01T00:00:00." + "0" * 60 + "Z"]),
    st.datetimes(datetime(2000, 1, 1), datetime(2020, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.just(np.float64(2.5)),
    st.just([1]),
)
KINDS: tuple[SourceType, ...] = ("Int64", "Float64", "Boolean", "Text", "Instant", "Date")
ALIKE: dict[SourceType, Any] = {
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "Float64": st.floats(allow_nan=False, allow_infinity=False),
    "Boolean": st.booleans(),
    "Text": st.text(max_size=5),
    "Instant": st.integers(0, 10**10).map(lambda seconds: (NOON + timedelta(seconds=seconds % 10**9)).isoformat()),
    "Date": st.integers(0, 9999).map(lambda days: (date(2000, 1, 1) + timedelta(days=days)).isoformat()),
}


def one_by_one(values: list[Any], kind: SourceType) -> list[Any] | str:
    try:
        return [read_cell(value, kind, row, "field") for row, value in enumerate(values)]
    except Invalid as error:
        return error.message


def at_once(values: list[Any], kind: SourceType) -> list[Any] | str:
    try:
        return read_column(values, kind, "field")
    except Invalid as error:
        return error.message


@given(st.sampled_from(KINDS), st.lists(VALUES, max_size=5))
def test_any_values_read_the_same_at_once_and_one_by_one(kind: SourceType, values: list[Any]) -> None:
    assert repr(at_once(values, kind)) == repr(one_by_one(values, kind))


@given(st.data())
def test_values_of_one_kind_read_the_same_at_once_and_one_by_one(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    values = data.draw(st.lists(st.one_of(st.none(), ALIKE[kind]), max_size=8))
    assert repr(at_once(values, kind)) == repr(one_by_one(values, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_and_nulls_alone_are_read(kind: SourceType) -> None:
    assert read_column([], kind, "field") == []
    assert read_column([None, None], kind, "field") == [None, None]
