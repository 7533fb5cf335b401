"""The order of points, and what sums up a set of them."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.runs.series.points import Extreme, Point, combined, rank_of, ranks_of, summary_of, value_of

values = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1.0, 2.0]))
integers = st.integers(-(2**63) + 1, 2**63 - 1)
points = st.builds(Point, st.one_of(st.integers(-3, 3), integers), st.integers(0, 3), values.map(rank_of))


@given(values)
def test_law_1_a_rank_tells_the_value(value: float) -> None:
    kept = value_of(rank_of(value))
    assert kept == value or (math.isnan(kept) and math.isnan(value))
    assert math.copysign(1.0, value_of(rank_of(-0.0))) == 1.0


@given(st.lists(values))
def test_ranks_of_many_are_those_of_each(several: list[float]) -> None:
    assert ranks_of(several) == [rank_of(value) for value in several]


@given(values, values)
def test_law_1_ranks_are_ordered_as_values(one: float, other: float) -> None:
    if math.isnan(one) or math.isnan(other):
        assert (rank_of(one) < rank_of(other)) == (math.isnan(one) and not math.isnan(other))
    else:
        assert (rank_of(one) < rank_of(other)) == (one < other)


@pytest.mark.parametrize("value", [5e-324, -5e-324, sys.float_info.max, -sys.float_info.max])
def test_law_1_the_ends_of_the_doubles(value: float) -> None:
    assert value_of(rank_of(value)) == value
    assert rank_of(-math.inf) < rank_of(value) < rank_of(math.inf)


@given(st.lists(points, min_size=2, max_size=8, unique=True), st.data())
def test_law_2_a_summary_does_not_depend_on_order_or_grouping(all_: list[Point], data: st.DataObject) -> None:
    arrived = data.draw(st.permutations(all_))
    middle = data.draw(st.integers(1, len(all_) - 1))
    assert combined(summary_of(arrived[:middle]), summary_of(arrived[middle:])) == summary_of(all_)


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (Point(2, 0, rank_of(0.1)), Point(1, 9, rank_of(0.9))),
        (Point(0, 2, rank_of(0.1)), Point(0, 1, rank_of(0.9))),
        (Point(0, 0, rank_of(0.9)), Point(0, 0, rank_of(0.1))),
        (Point(0, 0, rank_of(-math.inf)), Point(0, 0, rank_of(math.nan))),
        (Point(1, 0, rank_of(math.nan)), Point(0, 0, rank_of(math.inf))),
    ],
)
def test_the_last_is_of_the_greatest_step_then_time_then_value(winner: Point, loser: Point) -> None:
    assert summary_of([winner, loser]).last == summary_of([loser, winner]).last == winner


def test_extremes_ignore_nan_and_have_their_least_step() -> None:
    nan = Point(0, 0, rank_of(math.nan))
    found = summary_of([nan, Point(3, 0, rank_of(1.0)), Point(2, 0, rank_of(1.0))])
    assert (found.count, found.nan_count) == (3, 1)
    assert found.least == found.greatest == Extreme(rank_of(1.0), 2)
    alone = summary_of([nan])
    assert (alone.least, alone.greatest) == (None, None)
