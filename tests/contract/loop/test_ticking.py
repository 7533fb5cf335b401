"""A tick asked for in one process and done in another: nothing is lost between the two, on each database."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Conflict, Refused, TidegateError, Unavailable
from tidegate.loop.records import TickAnswer
from tidegate.loop.store import SqlTicks
from tidegate.loop.ticking import DelegatedTick, TickDesk
from tidegate.storage.catalog import Catalog

MACHINE = SystemClock()


class Counting:
    """Counts how often it was told to tick; may fail."""

    def __init__(self, error: TidegateError | None = None) -> None:
        self.ticks = 0
        self.error = error

    def until_idle(self, limit_seconds: float = 600.0) -> int:
        self.ticks += 1
        if self.error is not None:
            raise self.error
        return 7


def test_the_answer_comes_from_the_other_side(catalog: Catalog, replica: Catalog) -> None:
    ticker, stop = Counting(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        desk = pool.submit(TickDesk(SqlTicks(replica), ticker).run, stop)
        assert DelegatedTick(SqlTicks(catalog), MACHINE).until_idle(60) == 7
        assert DelegatedTick(SqlTicks(catalog), MACHINE).until_idle(60) == 7
        stop.set()
        desk.result(60)
    assert ticker.ticks == 2


def test_what_was_raised_there_is_raised_here(catalog: Catalog, replica: Catalog) -> None:
    stop = threading.Event()
    failing = Counting(Refused("a step was refused", holder="x"))
    with ThreadPoolExecutor(1) as pool:
        desk = pool.submit(TickDesk(SqlTicks(replica), failing).run, stop)
        with pytest.raises(Refused, match="a step was refused") as caught:
            DelegatedTick(SqlTicks(catalog), MACHINE).until_idle(60)
        stop.set()
        desk.result(60)
    assert caught.value.details == {"holder": "x"}


def test_the_lease_of_a_dead_process_is_waited_for(catalog: Catalog) -> None:
    class Held(Counting):
        def until_idle(self, limit_seconds: float = 600.0) -> int:
            self.error = Conflict("another process runs the controllers") if self.ticks < 2 else None
            return super().until_idle(limit_seconds)

    store, held = SqlTicks(catalog), Held()
    number = store.ask()
    TickDesk(store, held).answer()
    assert held.ticks == 3
    assert store.take(number) == TickAnswer(steps=7)


def test_one_tick_answers_all_who_waited_and_nobody_who_came_later(catalog: Catalog) -> None:
    store, ticker = SqlTicks(catalog), Counting()
    first, second = store.ask(), store.ask()
    TickDesk(store, ticker).answer()
    later = store.ask()
    assert ticker.ticks == 1
    assert store.take(first) == store.take(second) == TickAnswer(steps=7)
    assert store.take(first) is None
    assert store.take(later) is None
    assert store.newest() == later


def test_a_request_outlives_whoever_should_have_answered_it(catalog: Catalog, replica: Catalog) -> None:
    number = SqlTicks(catalog).ask()
    ticker = Counting()
    TickDesk(SqlTicks(replica), ticker).answer()  # another process, started later
    assert ticker.ticks == 1
    assert SqlTicks(catalog).take(number) == TickAnswer(steps=7)
    TickDesk(SqlTicks(replica), ticker).answer()
    assert ticker.ticks == 1


def test_answers_that_nobody_took_are_forgotten_in_time(catalog: Catalog) -> None:
    store = SqlTicks(catalog)
    numbers = [store.ask() for _ in range(102)]
    store.answer(numbers[0], TickAnswer(steps=1))
    store.answer(numbers[-1], TickAnswer(steps=2))
    store.answer(numbers[-1], TickAnswer(steps=3))
    assert [store.take(number) for number in (numbers[0], numbers[-1])] == [None, TickAnswer(steps=2)]


def test_nobody_waits_for_ever(catalog: Catalog) -> None:
    with pytest.raises(Unavailable, match="call again"):
        DelegatedTick(SqlTicks(catalog), MACHINE).until_idle(0.05)
