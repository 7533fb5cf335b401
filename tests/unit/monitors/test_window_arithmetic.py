"""Windows lie side by side from 1970 on, before it too."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import Invalid
from tidegate.monitors.profile import with_starts
from tidegate.monitors.rules import LONGEST, SHORTEST, check_seconds, window_start

lengths = st.integers(SHORTEST, LONGEST)
instants = st.integers(-(10**16), 10**17)


@given(instants, lengths)
def test_each_instant_is_in_one_window(at: int, seconds: int) -> None:
    start, length = window_start(at, seconds), seconds * 1_000_000
    assert start <= at < start + length
    assert start % length == 0
    assert window_start(start, seconds) == start
    assert window_start(start + length, seconds) == start + length


@given(st.lists(instants, min_size=1, max_size=20), lengths, lengths)
def test_frames_are_cut_the_same_way(instants: list[int], seconds: int, default: int) -> None:
    endpoints = ["mine" if at % 2 else "another" for at in instants]
    at = pl.Series(instants, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    frame = with_starts(pl.DataFrame({"at": at, "endpoint": endpoints}), {"mine": seconds, "x": 60}, default)
    expected = [window_start(at, seconds if at % 2 else default) for at in instants]
    assert frame["_start"].to_list() == expected


@pytest.mark.parametrize("seconds", [SHORTEST - 1, 0, -60, LONGEST + 1])
def test_other_lengths_are_refused(seconds: int) -> None:
    with pytest.raises(Invalid, match="outside"):
        check_seconds(seconds)
