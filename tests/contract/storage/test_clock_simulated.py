"""Business time of a simulated home."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidegate.kernel.clock import LATEST, SystemClock
from tidegate.kernel.errors import Conflict, Invalid
from tidegate.storage.catalog import Catalog
from tidegate.storage.clock import SimulatedClock, open_clock

START = datetime(2013, 10, 1, tzinfo=UTC)


def simulated(catalog: Catalog) -> SimulatedClock:
    clock = open_clock(catalog, "h" * 32, True)
    assert isinstance(clock, SimulatedClock)
    return clock


def test_it_stands_still_until_it_is_advanced(catalog: Catalog) -> None:
    clock = simulated(catalog)
    first = clock.now()
    assert clock.now() == first
    assert clock.advance(START) == START == clock.now()
    assert clock.now().tzinfo is UTC


def test_time_never_goes_back_and_the_maximum_wins(catalog: Catalog, replica: Catalog) -> None:
    clocks = (simulated(catalog), simulated(replica))
    steps = [START + timedelta(microseconds=7919 * n % 100) for n in range(60)]

    def move(number: int) -> tuple[datetime, datetime]:
        asked = steps[number]
        return asked, clocks[number % 2].advance(asked)

    with ThreadPoolExecutor(4) as pool:
        for asked, answered in pool.map(move, range(60)):
            assert answered >= asked
    assert clocks[0].now() == clocks[1].now() == max(steps)
    assert clocks[0].advance(START - timedelta(days=1)) == max(steps)


def test_it_is_shared_by_the_processes_of_the_home(catalog: Catalog, replica: Catalog) -> None:
    simulated(catalog).advance(START)
    reopened = open_clock(replica, "other", None)
    assert isinstance(reopened, SimulatedClock)
    assert reopened.now() == START


def test_an_instant_needs_a_zone_and_any_zone_will_do(catalog: Catalog) -> None:
    clock = simulated(catalog)
    with pytest.raises(Invalid):
        clock.advance(datetime(2013, 10, 1))  # noqa: DTZ001
    assert clock.advance(datetime(2013, 10, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == START


def test_the_first_to_open_decides(catalog: Catalog, replica: Catalog) -> None:
    assert isinstance(open_clock(catalog, "h" * 32, None), SystemClock)
    assert isinstance(open_clock(replica, "h" * 32, False), SystemClock)
    with pytest.raises(Conflict, match="real clock"):
        open_clock(catalog, "h" * 32, True)


def test_a_simulated_home_is_not_opened_as_a_real_one(catalog: Catalog) -> None:
    simulated(catalog)
    with pytest.raises(Conflict, match="simulated clock"):
        open_clock(catalog, "h" * 32, False)


def test_a_transaction_sees_the_time_that_it_moved(catalog: Catalog) -> None:
    clock = simulated(catalog)

    def work() -> datetime:
        return clock.advance(START)

    assert catalog.write(work) == START


def test_it_ends_where_no_date_could_be_reckoned_from_it(catalog: Catalog) -> None:
    clock = simulated(catalog)
    for late in (LATEST + timedelta(microseconds=1), datetime.max.replace(tzinfo=UTC)):
        with pytest.raises(Invalid, match="no business time"):
            clock.advance(late)
    assert clock.advance(LATEST) == LATEST == clock.now()
