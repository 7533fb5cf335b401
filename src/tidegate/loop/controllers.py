"""Runs controllers under a lease: one idempotent step at a time, nothing kept in memory between steps."""

import contextlib
import functools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from tidegate.kernel.clock import MachineClock
from tidegate.kernel.errors import Conflict, TidegateError, Unavailable

log = logging.getLogger("tidegate.loop")

LEASE = "controllers"
LEASE_SECONDS = 5.0
RETRY_SECONDS = 1.0

STRETCH = 20
"""So many steps of a busy controller in a row: a tick does not ask all others after each of them."""


class Held(Protocol):
    """A lease in our hands."""

    @property
    def fence(self) -> Callable[[Any], None]:
        """For the catalog: refuses a write once the lease has gone to another holder."""
        ...

    def held(self) -> bool:
        """Whether we may still act."""
        ...


class LeaseBook(Protocol):
    """Where leases are taken."""

    def acquire(self, name: str, holder: str, seconds: float) -> Held | None:
        """The lease, new or renewed, or None while another holder has it."""
        ...

    def renew(self, lease: Any, seconds: float) -> bool:
        """Hold the lease for longer; False when it is lost."""
        ...

    def release(self, lease: Any) -> None:
        """Give the lease back early."""
        ...


class Controller(NamedTuple):
    """A controller: ``step`` does at most one thing and returns the seconds until it wants to be called again.

    None from ``step`` means that nothing is due. ``step`` takes the fence under which it must write. ``close`` ends
    what it has begun beside it, such as a process. ``apart``: nothing that the others do gives it anything to do, so
    a tick is done with it once it rests, whatever traffic there is meanwhile.
    """

    name: str
    step: Callable[[Callable[[Any], None]], float | None]
    close: Callable[[], None] = lambda: None
    apart: bool = False


class ControllerLoop:
    """Calls each controller when it is due, as long as this process holds the lease."""

    def __init__(
        self,
        build: Callable[[], Sequence[Controller]],
        leases: LeaseBook,
        machine: MachineClock,
        holder: str,
    ) -> None:
        self._build = build
        self._leases = leases
        self._machine = machine
        self._holder = holder

    @functools.cached_property
    def _controllers(self) -> list[Controller]:
        """Built with the first step: a process that only serves never loads what they need."""
        return list(self._build())

    @functools.cached_property
    def _due(self) -> dict[str, float]:
        return {controller.name: 0.0 for controller in self._controllers}

    def close(self) -> None:
        """End what the controllers have begun beside themselves; they can be stepped again."""
        for controller in vars(self).get("_controllers", ()):  # none were built by a process that only serves
            controller.close()

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. Another holder's death is noticed within the length of a lease."""
        while not stop.is_set():
            lease = self._acquire()
            if lease is None:
                stop.wait(RETRY_SECONDS)
                continue
            with self._kept(lease):
                while lease.held() and not stop.is_set():
                    stop.wait(self._round(lease))

    def until_idle(self, limit_seconds: float = 600.0) -> int:
        """Step every controller until none has anything to do; returns the number of busy steps. For `tick`.

        One that is busy goes on for `STRETCH` steps before the others get their turns. Each is asked again after
        another one was busy, unless it is `apart`.

        Raises `Conflict` while another process holds the lease.
        """
        lease = self._leases.acquire(LEASE, self._holder, LEASE_SECONDS)
        if lease is None:
            raise Conflict("another process runs the controllers of this home; stop it, or let it do the work")
        steps = idle = 0
        turns = deque(self._controllers)
        give_up = self._machine.monotonic() + limit_seconds
        with self._kept(lease):
            while self._machine.monotonic() < give_up:
                controller = turns.popleft()
                busy, rests = self._stretch(controller, lease.fence, give_up)
                steps += busy
                if busy:
                    idle = 0
                if not rests or not controller.apart:
                    turns.append(controller)
                    idle += rests
                if idle == len(turns):
                    return steps
        raise Unavailable(f"the controllers were still busy after {limit_seconds:.0f} s; call again to go on")

    def _stretch(self, controller: Controller, fence: Callable[[Any], None], give_up: float) -> tuple[int, bool]:
        """Step one controller while it is busy; how often it was, and whether it rests now."""
        for steps in range(STRETCH):
            if controller.step(fence) != 0.0:
                return steps, True
            if self._machine.monotonic() >= give_up:
                return steps + 1, False
        return STRETCH, False

    @contextlib.contextmanager
    def _kept(self, lease: Held) -> Iterator[None]:
        """Renew the lease for as long as the block runs, however long a single step takes; then give it back."""
        done = threading.Event()

        def keep() -> None:
            while not done.wait(LEASE_SECONDS / 3):
                try:
                    if not self._leases.renew(lease, LEASE_SECONDS):
                        return
                except TidegateError as error:
                    log.warning("the lease could not be renewed: %s", error.message)

        keeper = threading.Thread(target=keep, name="lease-keeper", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()
            self._release(lease)

    def _round(self, lease: Held) -> float:
        for controller in self._controllers:
            now = self._machine.monotonic()
            if now < self._due[controller.name] or not lease.held():
                continue
            wanted: float | None = RETRY_SECONDS
            try:
                wanted = controller.step(lease.fence)
            except Conflict as error:
                log.warning("controller %s: %s", controller.name, error.message)
            except TidegateError as error:
                log.warning("controller %s will try again: %s", controller.name, error.message)
            except Exception:
                log.exception("controller %s failed by a fault of ours; it will try again", controller.name)
            self._due[controller.name] = self._machine.monotonic() + (RETRY_SECONDS if wanted is None else wanted)
        return max(min(self._due.values()) - self._machine.monotonic(), 0.0)

    def _acquire(self) -> Held | None:
        try:
            return self._leases.acquire(LEASE, self._holder, LEASE_SECONDS)
        except TidegateError as error:
            log.warning("the lease could not be taken: %s", error.message)
            return None

    def _release(self, lease: Held) -> None:
        try:
            self._leases.release(lease)
        except TidegateError as error:
            log.warning("the lease could not be given back: %s", error.message)
