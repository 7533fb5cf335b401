"""Group commit: those who wait for the same sync share it, led by one of them.

There is one sync at a time: the kernel reports a failed write-back to one of several concurrent callers only, and the
others would promise what is lost. While others are likely to join (the last group had several members), a leader
waits for them a little, at most for half a sync: so every sync carries everybody, where otherwise one in two
would carry the fastest alone.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from tidegate.kernel.errors import TidegateError, Unavailable
from tidegate.storage.journal.records import Position

Flush = Callable[[], None]
_LONGEST_PAUSE = 0.001


class Group:
    """Appends that one sync makes durable."""

    __slots__ = ("error", "futures", "size", "waiting")

    def __init__(self) -> None:
        self.size = 0
        self.error: TidegateError | None = None
        self.futures: list[tuple[Future[Position], Position]] = []
        self.waiting: list[Ticket] = []


class Ticket:
    """One thread's place in a group."""

    __slots__ = ("group", "leads", "wake")

    def __init__(self, group: Group, *, leads: bool) -> None:
        self.group = group
        self.leads = leads
        self.wake = threading.Lock()
        self.wake.acquire()


class GroupCommit:
    """Lets threads and futures wait until what was written is durable.

    `lock` guards the writing. `prepare` is called under it and notes what is to be synced; the `Flush` it returns
    runs without the lock, so that others write the next group meanwhile.
    """

    def __init__(self, lock: threading.Lock, prepare: Callable[[], Flush]) -> None:
        self._lock = lock
        self._prepare = prepare
        self._open = Group()
        self._busy = False  # somebody leads, or has been named to
        self._gathering: threading.Lock | None = None
        self._expected = 1
        self._pause = 0.0

    @property
    def has_futures(self) -> bool:
        """Whether somebody has to call `join` and `wait` for futures. Ask under the lock."""
        return bool(self._open.futures)

    def join(self) -> Ticket:
        """A place in the group that covers everything written so far. Call it under the lock, then `wait`."""
        group = self._open
        self._count(group)
        ticket = Ticket(group, leads=not self._busy)
        if ticket.leads:
            self._busy = True
        else:
            group.waiting.append(ticket)
        return ticket

    def join_later(self, future: "Future[Position]", position: Position) -> None:
        """Give a future a place in the group, under the lock; some thread still has to lead."""
        group = self._open
        self._count(group)
        group.futures.append((future, position))

    def wait(self, ticket: Ticket) -> None:
        """Return when the group is durable. Raises `Unavailable` when its sync failed."""
        if not ticket.leads:
            try:
                ticket.wake.acquire()
            except BaseException:
                self._withdraw(ticket)
                raise
        if ticket.leads:
            try:
                self._gather(ticket)
            finally:
                self._lead()
        error = ticket.group.error
        if error is not None:
            raise Unavailable(error.message, **error.details)

    def _count(self, group: Group) -> None:
        group.size += 1
        if self._gathering is not None and group.size >= self._expected:
            self._gathering.release()
            self._gathering = None

    def _gather(self, ticket: Ticket) -> None:
        if self._open.size >= self._expected:
            return
        with self._lock:
            if self._open.size >= self._expected:
                return
            self._gathering = ticket.wake
        ticket.wake.acquire(timeout=self._pause)

    def _lead(self) -> None:
        with self._lock:
            # In one step: what joins the next group is never half covered by this sync.
            self._gathering = None
            group, self._open = self._open, Group()
            flush = self._prepare()
        begun = time.perf_counter()
        try:
            flush()
        except OSError as failure:
            reason = f"the journal could not be made durable: {failure}; nothing of this append is promised"
            group.error = Unavailable(reason)
        except BaseException:
            group.error = Unavailable("the sync of the journal was interrupted; nothing of this append is promised")
            raise
        finally:
            self._pause = min((time.perf_counter() - begun) / 2, _LONGEST_PAUSE)
            self._pass_on(group)
            _settle(group)

    def _pass_on(self, group: Group) -> None:
        """Name the next leader, if anybody waits for one, and wake this group."""
        with self._lock:
            self._expected = group.size
            following = self._open.waiting.pop(0) if self._open.waiting else None
            self._busy = following is not None
            if following is not None:
                following.leads = True
            waiting = list(group.waiting)
        for ticket in waiting:
            ticket.wake.release()
        if following is not None:
            following.wake.release()

    def _withdraw(self, ticket: Ticket) -> None:
        """A waiter was interrupted: if it has just been named leader, it leads before it goes."""
        with self._lock:
            if ticket in ticket.group.waiting:
                ticket.group.waiting.remove(ticket)
        if ticket.leads:
            self._lead()


def _settle(group: Group) -> None:
    for future, position in group.futures:
        if not future.set_running_or_notify_cancel():
            continue
        if group.error is None:
            future.set_result(position)
        else:
            future.set_exception(group.error)
