"""What a reference says of how varied a column's windows were, against the plainest way to count it."""

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tidegate.monitors.columns import described

VALUES = st.one_of(st.none(), st.sampled_from([0.0, 1.5, -2.0, 7.0, 8.0]))
WINDOWS = st.lists(st.lists(VALUES, max_size=8), min_size=1, max_size=6)


@given(windows=WINDOWS)
def test_lone_values_are_those_that_no_other_window_has(windows: list[list[float | None]]) -> None:
    reference = described("x", "number", [pl.Series(window, dtype=pl.Float64) for window in windows])
    sets = [{value for value in window if value is not None} for window in windows]
    for place, window in enumerate(windows):
        elsewhere = set().union(*(other for index, other in enumerate(sets) if index != place))
        lone = [value for value in window if value is not None and value not in elsewhere]
        if window:
            assert math.isclose(reference.novel[place], len(lone) / len(window))
        else:
            assert math.isnan(reference.novel[place])
    assert reference.least_distinct == min((len(each) for each in sets if each), default=0)
