"""Chunks are coded without loss, and damaged ones are refused."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.kernel.errors import Internal
from tidegate.runs.series.chunks import (
    columns_of,
    decoded,
    encoded,
    joined,
    part_of,
    points_of,
    summary_of_columns,
)
from tidegate.runs.series.points import Point, rank_of, summary_of

wide = st.integers(-(2**63) + 1, 2**63 - 1)
values = st.one_of(st.floats(), st.sampled_from([0.0, math.nan, math.inf, -math.inf, 0.5]))
points = st.builds(Point, st.one_of(st.integers(-5, 5), wide), st.one_of(st.integers(0, 3), wide), values.map(rank_of))
several = st.lists(points, min_size=1, max_size=40, unique=True).map(sorted)


@given(several)
@settings(max_examples=60)
def test_law_1_what_is_encoded_is_decoded(all_: list[Point]) -> None:
    assert points_of(decoded([encoded(columns_of(all_))])) == all_


@given(st.lists(several, max_size=5))
@settings(max_examples=60)
def test_law_1_blobs_are_decoded_one_after_the_other(parts: list[list[Point]]) -> None:
    found = points_of(decoded([encoded(columns_of(part)) for part in parts]))
    assert found == [point for part in parts for point in part]


@given(several, st.data())
@settings(max_examples=40)
def test_law_2_what_is_not_whole_is_refused(all_: list[Point], data: st.DataObject) -> None:
    blob = encoded(columns_of(all_))
    with pytest.raises(Internal, match="chunk of metrics"):
        decoded([blob[: data.draw(st.integers(0, len(blob) - 1))]])
    with pytest.raises(Internal, match="chunk of metrics"):
        decoded([b"\x02" + blob[1:]])
    place = data.draw(st.integers(9, len(blob) - 1))
    with pytest.raises(Internal, match="chunk of metrics"):
        decoded([blob[:place] + bytes([blob[place] ^ 255]) + blob[place + 1 :]])


@given(several)
@settings(max_examples=60)
def test_columns_are_summed_up_as_points_are(all_: list[Point]) -> None:
    assert summary_of_columns(columns_of(all_)) == summary_of(all_)


@given(several, st.data())
@settings(max_examples=40)
def test_parts_are_joined_in_order(all_: list[Point], data: st.DataObject) -> None:
    belongs = data.draw(st.lists(st.booleans(), min_size=len(all_), max_size=len(all_)))
    parts = [[point for point, first in zip(all_, belongs, strict=True) if first is side] for side in (True, False)]
    assert points_of(joined(map(columns_of, parts))) == all_
    middle = len(all_) // 2
    columns = columns_of(all_)
    assert points_of(joined([part_of(columns, 0, middle), part_of(columns, middle, len(all_))])) == all_


def test_regular_steps_and_times_take_next_to_nothing() -> None:
    columns = columns_of((step, 1_700_000_000_000_000 + 1000 * step, rank_of(0.25)) for step in range(512))
    assert len(encoded(columns)) < 100
