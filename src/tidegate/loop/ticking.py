"""The tick of a simulated home that has a server: asked for in a serving process, done in the controller process.

Both meet in the catalog, so that either may die and be started again: a request that was not answered is taken up by
whoever runs the controllers next.
"""

import contextlib
import threading
from typing import Final, Protocol

from tidegate.kernel.clock import MachineClock
from tidegate.kernel.errors import Conflict, TidegateError, Unavailable, from_wire, to_wire
from tidegate.loop.records import TickAnswer

LOOK_SECONDS: Final = 0.005
LONGEST_LOOK_SECONDS: Final = 0.01
"""How often either side looks where a look costs little (SQLite): at first, and when nothing has come for a while."""

QUERY_SECONDS: Final = 0.05
"""How often where a look is a query (PostgreSQL)."""


TRIES: Final = 50
TRY_SECONDS: Final = 0.2
"""Together twice as long as a lease lasts."""


class Ticker(Protocol):
    """Does what is due by itself."""

    def until_idle(self, limit_seconds: float = 600.0) -> int:
        """Step every controller until none has anything to do; returns the number of steps."""
        ...


class TickStore(Protocol):
    """Where requests and answers are kept."""

    def quick_pulse(self) -> object | None:
        """A value that changes whenever anybody commits; None where it costs as much as a query."""
        ...

    def ask(self) -> int:
        """Add a request; its number."""
        ...

    def take(self, number: int) -> TickAnswer | None:
        """The answer to a request, which is then forgotten; None while there is none."""
        ...

    def newest(self) -> int:
        """The number of the newest request without an answer, 0 where there is none."""
        ...

    def answer(self, upto: int, answer: TickAnswer) -> None:
        """Answer every request up to a number."""
        ...


class DelegatedTick:
    """A `Ticker` that has the controller process do it, and waits."""

    def __init__(self, store: TickStore, machine: MachineClock) -> None:
        self._store = store
        self._machine = machine
        self._pause = threading.Event()

    def until_idle(self, limit_seconds: float = 600.0) -> int:
        """Ask, and wait for the answer. Raises what was raised there, `Unavailable` when nobody answers in time."""
        number = self._store.ask()
        give_up = self._machine.monotonic() + limit_seconds
        seen: object | None = None
        pause = LOOK_SECONDS
        while self._machine.monotonic() < give_up:
            pulse = self._store.quick_pulse()
            if pulse is None or pulse != seen:
                seen = pulse
                answer = self._store.take(number)
                if answer is not None:
                    return _steps(answer)
            pause = _longer(pause) if pulse is not None else QUERY_SECONDS
            self._pause.wait(pause)
        raise Unavailable(f"the controller process did not answer within {limit_seconds:.0f} s; call again to go on")


class TickDesk:
    """Answers requests, in the controller process."""

    def __init__(self, store: TickStore, ticker: Ticker) -> None:
        self._store = store
        self._ticker = ticker
        self._pause = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        seen: object | None = None
        pause = LOOK_SECONDS
        while not stop.wait(pause):
            pulse = self._store.quick_pulse()
            pause = _longer(pause) if pulse is not None else QUERY_SECONDS
            if pulse is None or pulse != seen:
                seen = pulse
                if self.answer():
                    pause = LOOK_SECONDS

    def answer(self) -> bool:
        """Tick once for every request that is waiting now; whether there was any."""
        upto = self._store.newest()
        if not upto:
            return False
        try:
            told = TickAnswer(steps=self._patiently())
        except TidegateError as error:
            told = TickAnswer(error=to_wire(error))
        self._store.answer(upto, told)
        return True

    def _patiently(self) -> int:
        """Tick, once the lease of a controller process that was killed over it has run out."""
        for _ in range(TRIES):
            with contextlib.suppress(Conflict):
                return self._ticker.until_idle()
            self._pause.wait(TRY_SECONDS)
        return self._ticker.until_idle()


def _longer(pause: float) -> float:
    """The next pause after one in which nothing came."""
    return min(pause * 1.2, LONGEST_LOOK_SECONDS)


def _steps(answer: TickAnswer) -> int:
    if answer.error is not None:
        raise from_wire(answer.error)
    return answer.steps
