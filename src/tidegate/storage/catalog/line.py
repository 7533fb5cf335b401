"""Who leads: of the threads of a process that want to write, one commits for all that wait."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa

T = TypeVar("T")

Fence = Callable[[sa.Connection], None]
"""Raises `Conflict` when the lease that a write is made under has gone to another holder."""

_seized: "ContextVar[Seized | None]" = ContextVar("tidegate_seized_lead", default=None)


class Work(Generic[T]):
    """One caller's function, waiting for its transaction."""

    context: Context | None = None
    leads = False
    done = False
    answer: T | None = None
    error: BaseException | None = None

    def __init__(self, run: Callable[[], T], durable: bool, fence: Fence | None) -> None:
        self.run = run
        self.durable = durable
        self.fence = fence

    def queue(self) -> None:
        """From here on another thread may run it, in a context like the caller's."""
        self.context = copy_context()
        self.wake = threading.Lock()
        self.wake.acquire()

    def result(self) -> T:
        """The function's answer, or its error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.answer)


class Seized:
    """The lead, taken before there is anything to write; spent with the first write."""

    __slots__ = ("line", "spent")

    def __init__(self, line: "Line") -> None:
        self.line = line
        self.spent = False


class Line:
    """The works that wait for the next group. Thread-safe.

    Whoever enters while nobody leads, leads; whoever leads hands on when its group is done.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._queue: deque[Work[Any]] = deque()
        self._leading = False

    def __len__(self) -> int:
        return len(self._queue)

    def enter(self, work: Work[Any]) -> bool:
        """Whether its caller leads now; otherwise the work is queued, and its ``wake`` is released in time."""
        seized = _seized.get()
        if seized is not None and seized.line is self and not seized.spent:
            seized.spent = True
            return True
        with self._mutex:
            if self._leading:
                work.queue()
                self._queue.append(work)
                return False
            self._leading = True
            return True

    @contextlib.contextmanager
    def seized(self, condition: Callable[[], bool]) -> "Iterator[Seized | None]":
        """Lead ahead of the first work that enters from within the block, if nobody leads and a condition holds."""
        with self._mutex:
            taken = not self._leading and condition()
            self._leading = self._leading or taken
        if not taken:
            yield None
            return
        seized = Seized(self)
        token = _seized.set(seized)
        try:
            yield seized
        finally:
            _seized.reset(token)
            if not seized.spent:
                self.hand_on()

    def take(self) -> list[Work[Any]]:
        """Everything that waits, for the one who leads."""
        with self._mutex:
            group = list(self._queue)
            self._queue.clear()
        return group

    def hand_on(self, rest: Sequence[Work[Any]] = ()) -> None:
        """Lead no longer; what was left of the group is the next ones' first."""
        with self._mutex:
            self._queue.extendleft(reversed(rest))
            following = self._choose()
        if following is not None:
            following.wake.release()

    def leave(self, work: Work[Any]) -> None:
        """An interrupted caller takes its work back, and hands on the lead if that has just become its own."""
        following = None
        with self._mutex:
            if work in self._queue:
                self._queue.remove(work)
            if work.leads:
                following = self._choose()
        if following is not None:
            following.wake.release()

    def _choose(self) -> Work[Any] | None:
        """Who leads next; the mutex is held."""
        if not self._queue:
            self._leading = False
            return None
        following = self._queue[0]
        following.leads = True
        return following
