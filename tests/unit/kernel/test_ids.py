"""Ids: increasing within a factory whatever the clock does, and readable again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import Invalid
from tidegate.kernel.ids import WRITERS, IdFactory, parse_id

INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))


class Standing:
    """A clock that stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@given(st.lists(INSTANTS, min_size=2, max_size=30), st.integers(0, WRITERS - 1))
def test_ids_increase_also_when_time_jumps_back(instants: list[datetime], writer: int) -> None:
    factory = IdFactory(Standing(instants[0]), writer)
    made = [factory.new(at) for at in instants]
    assert made == sorted(set(made))
    assert {parse_id(one).writer for one in made} == {writer}


def test_ids_of_one_simulated_millisecond_stay_in_order() -> None:
    at = datetime(2013, 7, 1, tzinfo=UTC)
    factory = IdFactory(Standing(at), 5)
    made = [factory.new() for _ in range(70_000)]
    assert made == sorted(set(made))
    assert parse_id(made[-1]).at == at
    assert parse_id(made[-1]).counter == 69_999


@given(INSTANTS)
def test_an_id_tells_its_millisecond(at: datetime) -> None:
    told = parse_id(IdFactory(Standing(at), 1).new()).at
    assert timedelta(0) <= at - told < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "0" * 32,
        "f" * 32,
        "0x1a1fbe7af5f700080000000803ca45",
        "01a1fbe7_af5f_7000_8000_00008032",
        "01A1FBE7AF5F70008000000080320000",
        "01a1fbe7af5f700080000000962ab8d",
        "ffffffffffff7fffbfffffffffffffff",
        "٠" * 32,
        "01a1fbe7af5f700080000000962ab8d\n",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="32 hex digits"):
        parse_id(text)
