"""Instants: always aware, exact to the microsecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.clock import SystemClock, from_micros, parse_instant, to_micros, utc
from tidegate.kernel.errors import Invalid

zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones))  # noqa: DTZ001
def test_micros_are_exact(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant
    assert from_micros(to_micros(instant)).tzinfo is UTC


@given(st.integers(-(10**16), 10**17))
def test_micros_come_back(micros: int) -> None:
    assert to_micros(from_micros(micros)) == micros


def test_a_naive_instant_is_refused_and_told_why() -> None:
    naive = datetime(2013, 10, 1)  # noqa: DTZ001
    with pytest.raises(Invalid, match="start 2013-10-01T00:00:00 has no time zone"):
        utc(naive, "start")
    with pytest.raises(Invalid):
        to_micros(naive)


@pytest.mark.parametrize("text", ["2013-10-01T00:00:00Z", "2013-10-01T02:00:00+02:00", "2013-09-30 16:00:00-08:00"])
def test_text_with_a_zone_is_an_instant(text: str) -> None:
    assert parse_instant(text) == datetime(2013, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2013-10-01", "2013-10-01T00:00:00", "2013-13-01T00:00:00Z", "1"])
def test_other_text_is_not(text: str) -> None:
    with pytest.raises(Invalid):
        parse_instant(text, "since")


def test_the_system_clock_is_aware_and_its_monotonic_side_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.wall().tzinfo is UTC
    times = [clock.monotonic() for _ in range(1000)]
    assert times == sorted(times)
