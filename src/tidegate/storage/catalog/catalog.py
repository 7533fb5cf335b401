"""Transactions on the catalog: group commit among threads, turns among processes, savepoints within.

There is no writer thread: the first caller leads, and runs the works of all who queued while the last group
was being committed. Alone, a caller pays no hand-over; under load, one commit serves many.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa

from tidegate.kernel.errors import Unavailable
from tidegate.kernel.ids import jitter
from tidegate.storage.catalog.dialect import Dialect

T = TypeVar("T")

GROUP_SECONDS = 0.02
"""A group takes no further work after this time, so that other processes get their turn."""

RETRY_SECONDS = 15.0
"""How long a lost database is waited for before a caller hears `Unavailable`."""

Fence = Callable[[sa.Connection], None]
"""Raises `Conflict` when the lease that a write is made under has gone to another holder."""

_ambient: ContextVar[sa.Connection | None] = ContextVar("tidegate_transaction", default=None)


class _Work(Generic[T]):
    """One caller's function, waiting for its transaction."""

    def __init__(self, run: Callable[[], T], durable: bool, fence: Fence | None) -> None:
        self.run = run
        self.durable = durable
        self.fence = fence
        self.context = copy_context()
        self.wake = threading.Lock()
        self.wake.acquire()
        self.done = False
        self.answer: T | None = None
        self.error: BaseException | None = None

    def result(self) -> T:
        """The function's answer, or its error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.answer)


class Catalog:
    """The catalog of one home. Thread-safe; one a process. See the package for its laws."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._mutex = threading.Lock()
        self._queue: deque[_Work[Any]] = deque()
        self._leading = False
        self._connection: sa.Connection | None = None
        self._pulse_connection: sa.Connection | None = None
        self._serialised = False

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._dialect.name

    def write(self, run: Callable[[], T], *, durable: bool = True, fence: Fence | None = None) -> T:
        """Run a function inside one write transaction and return its answer once that is committed.

        Inside it, `connect` yields the transaction. The function may run more than once (after a lost
        connection), but only one run is committed. Called within a transaction it joins it, in a savepoint.
        """
        ambient = _ambient.get()
        if ambient is not None:
            with self._savepoint(ambient):
                return run()
        work = _Work(run, durable, fence)
        with self._mutex:
            self._queue.append(work)
            lead = not self._leading
            self._leading = True
        if not lead:
            work.wake.acquire()
            if work.done:
                return work.result()
        self._lead()
        return work.result()

    @contextlib.contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """The ambient transaction, or else a read-only connection on one committed snapshot."""
        ambient = _ambient.get()
        if ambient is not None:
            yield ambient
            return
        connection = self._begin_read()
        try:
            yield connection
        except sa.exc.DBAPIError as error:
            raise self._translate(error) from error
        finally:
            with contextlib.suppress(sa.exc.DBAPIError):
                self._dialect.control(connection, "ROLLBACK")
            connection.close()

    def insert(self, table: sa.Table) -> Any:
        """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
        return self._dialect.insert(table)

    def serialise(self) -> None:
        """From here to the commit no other transaction of any replica passes `serialise` (law 8)."""
        connection = _ambient.get()
        if connection is None:
            raise RuntimeError("serialise() belongs inside write()")
        if not self._serialised:
            self._dialect.serialise(connection)
            self._serialised = True

    def seconds(self) -> float:
        """The clock that all processes sharing this catalog agree on; only for leases."""
        with self.connect() as connection:
            return self._dialect.seconds(connection)

    def pulse(self) -> object:
        """A value that changes whenever anybody commits: cheap enough to ask four times a second."""
        with self._mutex:
            try:
                if self._pulse_connection is None:
                    self._pulse_connection = self._dialect.reader().connect()
                return self._dialect.pulse(self._pulse_connection)
            except sa.exc.DBAPIError as error:
                self._pulse_connection = None
                raise self._translate(error) from error

    def writing_engine(self) -> sa.Engine:
        """For migrations only."""
        return self._dialect.writer()

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """This process's turn to write; for migrations only."""
        return self._dialect.turn()

    def close(self) -> None:
        """Release connections and files."""
        for connection in (self._connection, self._pulse_connection):
            if connection is not None:
                connection.close()
        self._connection = self._pulse_connection = None
        self._dialect.close()

    def _lead(self) -> None:
        with self._mutex:
            group = list(self._queue)
            self._queue.clear()
        rest: list[_Work[Any]] = []
        try:
            rest = self._commit(group)
        except BaseException as error:
            for work in group:
                work.done, work.error = True, work.error or error
            raise
        finally:
            with self._mutex:
                self._queue.extendleft(reversed(rest))
                following = self._queue.popleft() if self._queue else None
                if following is not None:
                    self._queue.appendleft(following)
                else:
                    self._leading = False
            if following is not None:
                following.wake.release()
            for work in group[1:]:
                if work.done:
                    work.wake.release()

    def _commit(self, group: list[_Work[Any]]) -> list[_Work[Any]]:
        """Commit the group, again after a lost connection; returns the works left for the next group."""
        give_up = time.monotonic() + RETRY_SECONDS
        pause = 0.01
        while True:
            attempt = _Attempt()
            try:
                return self._commit_once(group, attempt)
            except sa.exc.DBAPIError as error:
                self._drop_connection()
                if not self._dialect.lost(error):
                    return self._fail(group, self._translate(error))
                if attempt.transaction_id is not None and attempt.committing:
                    outcome = self._outcome(attempt.transaction_id, give_up)
                    if outcome:
                        return self._settle(group, attempt.taken)
                    if outcome is None:
                        return self._fail(group, _unknown_outcome())
                if time.monotonic() > give_up:
                    return self._fail(group, self._translate(error))
            time.sleep(pause * jitter())
            pause = min(pause * 2, 0.5)

    def _commit_once(self, group: list[_Work[Any]], attempt: "_Attempt") -> list[_Work[Any]]:
        with self._dialect.turn():
            connection = self._writing_connection()
            attempt.transaction_id = self._dialect.begin(connection, any(work.durable for work in group))
            self._serialised = False
            started = time.monotonic()
            try:
                for work in group:
                    self._run(work, connection, alone=len(group) == 1)
                    attempt.taken += 1
                    if time.monotonic() - started > GROUP_SECONDS:
                        break
                attempt.committing = True
                failed = all(work.error is not None for work in group[: attempt.taken])
                self._dialect.control(connection, "ROLLBACK" if failed else "COMMIT")
            except BaseException:
                with contextlib.suppress(sa.exc.DBAPIError):
                    if self._dialect.in_transaction(connection):
                        self._dialect.control(connection, "ROLLBACK")
                raise
        return self._settle(group, attempt.taken)

    def _run(self, work: _Work[Any], connection: sa.Connection, *, alone: bool) -> None:
        work.error = None
        if not alone:
            self._dialect.control(connection, "SAVEPOINT work")
        try:
            work.answer = work.context.copy().run(_within, connection, work)
        except BaseException as error:
            if isinstance(error, sa.exc.DBAPIError) and self._dialect.lost(error):
                raise
            if not self._dialect.in_transaction(connection):
                raise  # the database took the whole group back
            work.error = self._translate(error) if isinstance(error, sa.exc.DBAPIError) else error
            if not alone:
                self._dialect.control(connection, "ROLLBACK TO SAVEPOINT work")
                self._serialised = False  # PostgreSQL gave the lock back with the savepoint
        if not alone:
            self._dialect.control(connection, "RELEASE SAVEPOINT work")

    @contextlib.contextmanager
    def _savepoint(self, connection: sa.Connection) -> Iterator[None]:
        self._dialect.control(connection, "SAVEPOINT nested")
        try:
            yield
        except BaseException:
            if self._dialect.in_transaction(connection):
                self._dialect.control(connection, "ROLLBACK TO SAVEPOINT nested")
                self._dialect.control(connection, "RELEASE SAVEPOINT nested")
                self._serialised = False
            raise
        self._dialect.control(connection, "RELEASE SAVEPOINT nested")

    def _settle(self, group: list[_Work[Any]], taken: int) -> list[_Work[Any]]:
        for work in group[:taken]:
            work.done = True
        return group[taken:]

    def _fail(self, group: list[_Work[Any]], error: Exception) -> list[_Work[Any]]:
        for work in group:
            work.done, work.error = True, error
        return []

    def _outcome(self, transaction_id: str, give_up: float) -> bool | None:
        while time.monotonic() < give_up:
            with contextlib.suppress(sa.exc.DBAPIError):
                outcome = self._dialect.committed(transaction_id)
                if outcome is not None:
                    return outcome
            time.sleep(0.1 * jitter())
        return None

    def _writing_connection(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._dialect.writer().connect()
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sa.exc.DBAPIError):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None

    def _begin_read(self) -> sa.Connection:
        give_up = time.monotonic() + RETRY_SECONDS
        pause = 0.01
        while True:
            try:
                connection = self._dialect.reader().connect()
                self._dialect.control(connection, self._dialect.begin_read)
            except sa.exc.DBAPIError as error:
                if not self._dialect.lost(error) or time.monotonic() > give_up:
                    raise self._translate(error) from error
            else:
                return connection
            time.sleep(pause * jitter())
            pause = min(pause * 2, 0.5)

    def _translate(self, error: sa.exc.DBAPIError) -> Exception:
        if self._dialect.full(error):
            return Unavailable("the disk of the catalog is full; nothing was written. Free some space and try again")
        if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
            reason = str(error.orig).splitlines()[0] if error.orig and str(error.orig) else "no answer"
            return Unavailable(f"the catalog does not answer ({reason}); nothing was written, try again")
        return error


class _Attempt:
    """How far one try at a group got."""

    def __init__(self) -> None:
        self.transaction_id: str | None = None
        self.committing = False
        self.taken = 0


def _within(connection: sa.Connection, work: _Work[T]) -> T:
    _ambient.set(connection)
    if work.fence is not None:
        work.fence(connection)
    return work.run()


def _unknown_outcome() -> Unavailable:
    return Unavailable(
        "the database was lost while it committed, and the outcome is unknown; repeat the call with the same "
        "idempotency key, or read the object first"
    )
