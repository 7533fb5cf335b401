"""The loop of controllers: one holder at a time, nobody in another's way, nothing done without the lease."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Conflict, Unavailable
from tidegate.loop import controllers
from tidegate.loop.controllers import LEASE, Controller, ControllerLoop
from tidegate.storage.catalog import Catalog, open_catalog
from tidegate.storage.leases import Lease, Leases, leases
from tidegate.testing.catalogs import place_catalog

Fence = Callable[[Any], None]

THEIRS = 25.0
"""Seconds that another holder asks for: not so many more than ours that it would look like a lease before a reboot."""


class CountedLeases(Leases):
    """Leases that count how often they were asked for, and may fail at first."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog, SystemClock())
        self.asked = 0
        self.failures = 0

    def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise Unavailable("the catalog does not answer")
        return super().acquire(name, holder, seconds)


class Counter:
    """A controller that counts its steps: so many are busy, then it wants to be called after `pause` seconds."""

    def __init__(self, name: str, busy: int = 0, pause: float | None = 0.001, *, apart: bool = False) -> None:
        self.name = name
        self.steps = 0
        self._busy = busy
        self._pause = pause
        self._apart = apart

    def step(self, _fence: Fence) -> float | None:
        self.steps += 1
        return 0.0 if self.steps <= self._busy else self._pause

    @property
    def controller(self) -> Controller:
        return Controller(self.name, self.step, apart=self._apart)


class Failing(Counter):
    """A controller whose every step raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self._error = error

    def step(self, fence: Fence) -> float | None:
        super().step(fence)
        raise self._error


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controllers, "RETRY_SECONDS", 0.01)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    place_catalog(tmp_path)
    with contextlib.closing(open_catalog("", tmp_path)) as opened:
        yield opened


@pytest.fixture
def book(catalog: Catalog) -> CountedLeases:
    return CountedLeases(catalog)


def loop_of(book: Leases, *counters: Counter, holder: str = "us") -> ControllerLoop:
    return ControllerLoop(lambda: [each.controller for each in counters], book, SystemClock(), holder)


@contextlib.contextmanager
def running(loop: ControllerLoop) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.005)


def test_a_failing_controller_does_not_stop_the_others(book: CountedLeases) -> None:
    first, last = Counter("first"), Counter("last")
    failing = [Failing(ValueError("a fault")), Failing(Unavailable("later")), Failing(Conflict("lost a race"))]
    with running(loop_of(book, first, *failing, last)):
        until(lambda: all(each.steps >= 3 for each in (first, *failing, last)))


def test_a_controller_is_called_when_it_wants_to_be(book: CountedLeases) -> None:
    often, seldom = Counter("often"), Counter("seldom", pause=3600)
    with running(loop_of(book, seldom, often)):
        until(lambda: often.steps >= 20)
    assert seldom.steps == 1


def test_nothing_is_built_or_done_while_another_holds_the_lease(book: CountedLeases) -> None:
    other = book.acquire(LEASE, "other", THEIRS)
    assert other is not None
    built: list[str] = []
    counter = Counter("only")

    def build() -> list[Controller]:
        built.append("once")
        return [counter.controller]

    with running(ControllerLoop(build, book, SystemClock(), "us")):
        until(lambda: book.asked >= 5)
        assert (built, counter.steps) == ([], 0)
        book.release(other)
        until(lambda: counter.steps >= 2)
    assert built == ["once"]


def test_the_lease_is_given_back_at_the_end(book: CountedLeases) -> None:
    counter = Counter("only")
    with running(loop_of(book, counter)):
        until(lambda: counter.steps >= 1)
        assert book.acquire(LEASE, "other", THEIRS) is None
    assert book.acquire(LEASE, "other", THEIRS) is not None


def test_a_catalog_that_does_not_answer_is_asked_again(book: CountedLeases) -> None:
    book.failures = 3
    counter = Counter("only")
    with running(loop_of(book, counter)):
        until(lambda: counter.steps >= 1)
    assert book.asked >= 4


def test_after_a_takeover_no_write_gets_through(
    catalog: Catalog, book: CountedLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controllers, "LEASE_SECONDS", 3.0)
    written: list[int] = []
    refused: list[str] = []

    class Writing(Counter):
        def step(self, fence: Fence) -> float | None:
            super().step(fence)
            try:
                catalog.write(lambda: None, fence=fence)
            except Conflict as error:
                refused.append(error.message)
                raise
            written.append(self.steps)
            return 0.001

    writing = Writing("writing")
    with running(loop_of(book, writing)):
        until(lambda: len(written) >= 3)
        theirs = _take_over(catalog, book)
        done = len(written)
        until(lambda: bool(refused))
        assert len(written) <= done + 1, "one may have been committed between the takeover and our count"
        book.release(theirs)
        until(lambda: len(written) > done + 1)
    assert "has passed to another holder" in refused[0]


def test_until_idle_does_everything_and_gives_the_lease_back(book: CountedLeases) -> None:
    first, second = Counter("first", busy=3), Counter("second", busy=1, pause=None)
    assert loop_of(book, first, second).until_idle() == 4
    assert book.acquire(LEASE, "other", THEIRS) is not None


def test_until_idle_is_refused_while_another_holds_the_lease(book: CountedLeases) -> None:
    other = book.acquire(LEASE, "other", THEIRS)
    assert other is not None
    counter = Counter("only", busy=1)
    loop = loop_of(book, counter)
    with pytest.raises(Conflict, match="another process"):
        loop.until_idle()
    assert counter.steps == 0
    book.release(other)
    assert loop.until_idle() == 1


def test_until_idle_ends_when_there_is_always_more(book: CountedLeases) -> None:
    with pytest.raises(Unavailable, match="still busy"):
        loop_of(book, Counter("endless", busy=1 << 60)).until_idle(limit_seconds=0.05)
    assert book.acquire(LEASE, "other", THEIRS) is not None, "it gave the lease back"


def test_a_failure_of_until_idle_is_told_and_gives_the_lease_back(book: CountedLeases) -> None:
    with pytest.raises(Unavailable, match="later"):
        loop_of(book, Failing(Unavailable("later"))).until_idle()
    assert book.acquire(LEASE, "other", THEIRS) is not None


def _take_over(catalog: Catalog, book: CountedLeases) -> Lease:
    """What happens when a holder is paused for longer than its lease: it runs out, and another takes it."""

    def expire() -> None:
        with catalog.connect() as connection:
            connection.execute(leases.update().where(leases.c.name == LEASE).values(expires=sa.literal(0.0)))

    lease: Lease | None = None

    def taken() -> bool:
        nonlocal lease
        catalog.write(expire)
        lease = book.acquire(LEASE, "other", THEIRS)
        return lease is not None

    until(taken)
    assert lease is not None
    return lease


def test_a_tick_steps_a_busy_controller_on_and_gives_the_others_their_turns(book: CountedLeases) -> None:
    first, busy, last = Counter("first"), Counter("busy", busy=3), Counter("last")
    assert loop_of(book, first, busy, last).until_idle() == 3
    assert (first.steps, busy.steps, last.steps) == (2, 4, 1), "nobody is asked twice for nothing"
    long, other = Counter("long", busy=controllers.STRETCH * 2), Counter("other")
    assert loop_of(book, long, other).until_idle() == controllers.STRETCH * 2
    assert other.steps == 2


def test_a_tick_is_done_with_a_controller_that_is_apart_once_it_rests(book: CountedLeases) -> None:
    apart, busy = Counter("apart", busy=1, apart=True), Counter("busy", busy=2)
    assert loop_of(book, apart, busy).until_idle() == 3
    assert (apart.steps, busy.steps) == (2, 3)
    assert loop_of(book, Counter("alone", busy=2, apart=True)).until_idle() == 2


def test_a_tick_gives_up_on_a_controller_that_stays_busy(book: CountedLeases) -> None:
    with pytest.raises(Unavailable, match="still busy"):
        loop_of(book, Counter("busy", busy=10**9)).until_idle(limit_seconds=0.05)
