"""Transactions on the catalog: group commit among threads, turns among processes, savepoints within.

There is no writer thread: the first caller leads, and runs the works of all who queued while the last group
was being committed. Alone, a caller pays no hand-over; under load, one commit serves many.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import sqlalchemy as sa

from tidegate.kernel.errors import Internal, Unavailable
from tidegate.kernel.ids import jitter
from tidegate.storage.catalog.dialect import Dialect
from tidegate.storage.catalog.line import Fence, Line, Work
from tidegate.storage.catalog.prepared import Prepared, PreparedQueries, PreparedQuery
from tidegate.storage.catalog.snapshots import RETRY_SECONDS, Reads, Snapshots, discard, translated

T = TypeVar("T")

GROUP_SECONDS = 0.02
"""A group takes no further work after this time, so that other processes get their turn."""

_ambient: "ContextVar[_Ambient | None]" = ContextVar("tidegate_transaction", default=None)


class _Ambient:
    """The transaction that the calling code runs in; closed when the work ends, so that no task inherits it."""

    __slots__ = ("catalog", "connection", "outer")

    def __init__(self, catalog: "Catalog", connection: sa.Connection, outer: "_Ambient | None") -> None:
        self.catalog = catalog
        self.connection: sa.Connection | None = connection
        self.outer = outer


class Catalog:
    """The catalog of one home. Thread-safe; one a process. See the package for its laws."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._line = Line()
        self._connection: sa.Connection | None = None
        self._snapshots = Snapshots(dialect)
        self._reads = Reads(dialect, self._snapshots, self._transaction)
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
        ambient = self._transaction()
        if ambient is not None:
            with self._savepoint(ambient):
                if fence is not None:
                    fence(ambient)
                return run()
        work = Work(run, durable, fence)
        if self._line.enter(work):
            self._lead([work])
            return work.result()
        try:
            work.wake.acquire()
        except BaseException:  # Ctrl-C while waiting
            self._line.leave(work)
            raise
        if not work.done:
            self._lead(self._line.take())
        return work.result()

    @contextlib.contextmanager
    def at_once(self) -> Iterator[bool]:
        """Take the turn to write, if nobody has it: the first write of the block then waits for nobody (law 9).

        Yields whether it was taken. It never is where a statement is a round trip, and so a wait in itself.
        """
        with self._line.seized(self._dialect.take_turn) as seized:
            try:
                yield seized is not None
            finally:
                if seized is not None and not seized.spent:
                    with self._dialect.turn():  # which gives it back
                        pass

    def connect(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """The ambient transaction, or else a read-only connection on one committed snapshot."""
        ambient = self._transaction()
        return self._snapshots.take() if ambient is None else contextlib.nullcontext(ambient)

    def insert(self, table: sa.Table) -> Any:
        """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
        return self._dialect.insert(table)

    def prepared(self, statement: sa.UpdateBase) -> Prepared:
        """A statement without rows, to be called with its values inside `write`: for writes made by the thousand."""
        return Prepared(statement, self._dialect, self._transaction)

    def query(self, statement: sa.Select[Any]) -> PreparedQuery:
        """A query that is compiled once: for looks that are taken by the thousand."""
        return PreparedQuery(statement, self._dialect, self._reads.fetch)

    def returning(self, statement: sa.UpdateBase) -> PreparedQuery:
        """A change that tells its rows, to be called inside `write`."""
        return PreparedQuery(statement, self._dialect, self._reads.change)

    def queries(self, *statements: sa.Select[Any]) -> PreparedQueries:
        """Several of them that are asked at once: what they find belongs together."""
        return PreparedQueries(statements, self._dialect, self._reads.fetch_each)

    def serialise(self) -> None:
        """From here to the commit no other transaction of any replica passes `serialise` (law 8)."""
        connection = self._transaction()
        if connection is None:
            raise RuntimeError("serialise() belongs inside write()")
        if not self._serialised:
            self._dialect.serialise(connection)
            self._serialised = True

    def seconds(self) -> float:
        """The clock that all processes sharing this catalog agree on; only for leases."""
        return self._dialect.seconds(lambda statement: self._reads.fetch(statement, ()))

    def pulse(self) -> object:
        """A value that changes whenever anybody commits: cheap enough to ask four times a second."""
        return self._snapshots.pulse()

    def quick_pulse(self) -> object | None:
        """The pulse where asking for it costs a few microseconds; None elsewhere, and inside a transaction."""
        return self.pulse() if self._dialect.quick_pulse and self._transaction() is None else None

    def close(self) -> None:
        """Release connections and files."""
        self._dialect.close()
        self._drop_connection()  # its pool may have been replaced since
        self._snapshots.close()

    def _transaction(self) -> sa.Connection | None:
        """The transaction of this catalog that the caller is in."""
        ambient = _ambient.get()
        while ambient is not None and ambient.catalog is not self:
            ambient = ambient.outer
        return None if ambient is None else ambient.connection

    def _lead(self, group: list[Work[Any]]) -> None:
        rest: list[Work[Any]] = []
        try:
            rest = self._commit(group)
        finally:
            self._line.hand_on(rest)
            for work in group[1:]:
                if work.done:
                    work.wake.release()

    def _commit(self, group: list[Work[Any]]) -> list[Work[Any]]:
        """Commit the group; returns the works left for the next group. Errors go into the works."""
        attempt = _Attempt()
        try:
            try:
                return self._commit_once(group, attempt)
            except sa.exc.DBAPIError as error:
                return self._commit_again(group, attempt, error)
        except BaseException as error:  # noqa: BLE001 - it goes to the caller, as the error of its work
            self._drop_connection()
            group[0].done, group[0].error = True, error
            if attempt.committing:
                return _fail(group[1:], _unknown_outcome())
            if isinstance(error, KeyboardInterrupt):
                return group[1:]  # only the leader was interrupted
            return _fail(group[1:], error)

    def _commit_again(self, group: list[Work[Any]], attempt: "_Attempt", error: sa.exc.DBAPIError) -> list[Work[Any]]:
        """Commit the group after it failed, for as long as connections are lost."""
        give_up = time.monotonic() + RETRY_SECONDS
        pause = 0.01
        while True:
            self._drop_connection()
            if not self._dialect.lost(error):
                return _fail(group, translated(self._dialect, error))
            if attempt.committing:
                outcome = self._outcome(attempt.transaction_id)
                if outcome:
                    return _settle(group, attempt.taken)
                if outcome is None:
                    return _fail(group, _unknown_outcome())
            if time.monotonic() > give_up:
                return _fail(group, translated(self._dialect, error))
            attempt.reset()
            time.sleep(pause * jitter())
            pause = min(pause * 2, 0.5)
            try:
                return self._commit_once(group, attempt)
            except sa.exc.DBAPIError as again:
                error = again

    def _commit_once(self, group: list[Work[Any]], attempt: "_Attempt") -> list[Work[Any]]:
        with self._dialect.turn():
            connection = self._writing_connection()
            durable = group[0].durable if len(group) == 1 else any(work.durable for work in group)
            attempt.transaction_id = self._dialect.begin(connection, durable)
            self._serialised = False
            try:
                failed = self._run_group(group, connection, attempt)
                attempt.committing = not failed
                self._dialect.control(connection, "ROLLBACK" if failed else "COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
        return _settle(group, attempt.taken)

    def _run_group(self, group: list[Work[Any]], connection: sa.Connection, attempt: "_Attempt") -> bool:
        """Run as many works as fit into a group's time; returns whether all of them failed."""
        if len(group) == 1:
            self._run(group[0], connection, alone=True)
            attempt.taken = 1
            return group[0].error is not None
        started = time.monotonic()
        for work in group:
            self._run(work, connection, alone=False)
            attempt.taken += 1
            if time.monotonic() - started > GROUP_SECONDS:
                break
        return all(work.error is not None for work in group[: attempt.taken])

    def _roll_back(self, connection: sa.Connection) -> None:
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            if self._dialect.in_transaction(connection):
                self._dialect.control(connection, "ROLLBACK")

    def _run(self, work: Work[Any], connection: sa.Connection, *, alone: bool) -> None:
        work.error = None
        if not alone:
            self._dialect.defer(connection, "SAVEPOINT work")
        try:
            if work.context is None:
                work.answer = self._within(connection, work)
            else:
                work.answer = work.context.copy().run(self._within, connection, work)
            if self._dialect.spoilt(connection):
                raise Internal("a statement of this write failed, and its error was passed over; nothing was written")
            if not alone:  # here, for it brings the statements that were deferred, and their errors
                self._dialect.control(connection, "RELEASE SAVEPOINT work")
        except KeyboardInterrupt:
            raise  # it is the leader's, whose thread this is
        except BaseException as error:
            if isinstance(error, sa.exc.DBAPIError) and self._dialect.lost(error):
                raise
            if not self._dialect.in_transaction(connection):  # the database took the whole group back
                if isinstance(error, sa.exc.DBAPIError):
                    raise
                raise sa.exc.OperationalError("the transaction was taken back", None, error) from error
            work.error = translated(self._dialect, error) if isinstance(error, sa.exc.DBAPIError) else error
            if not alone:
                self._dialect.control(connection, "ROLLBACK TO SAVEPOINT work")
                self._dialect.control(connection, "RELEASE SAVEPOINT work")
                self._serialised = False  # PostgreSQL gave the lock back with the savepoint

    def _within(self, connection: sa.Connection, work: Work[T]) -> T:
        ambient = _Ambient(self, connection, _ambient.get())
        token = _ambient.set(ambient)
        try:
            if work.fence is not None:
                work.fence(connection)
            return work.run()
        finally:
            ambient.connection = None
            _ambient.reset(token)

    @contextlib.contextmanager
    def _savepoint(self, connection: sa.Connection) -> Iterator[None]:
        self._dialect.defer(connection, "SAVEPOINT nested")
        try:
            yield
            self._dialect.control(connection, "RELEASE SAVEPOINT nested")
        except BaseException:
            if self._dialect.in_transaction(connection):
                self._dialect.control(connection, "ROLLBACK TO SAVEPOINT nested")
                self._dialect.control(connection, "RELEASE SAVEPOINT nested")
                self._serialised = False
            raise

    def _outcome(self, transaction_id: str | None) -> bool | None:
        """Whether a transaction was committed whose COMMIT was never answered; None where nobody can say."""
        give_up = time.monotonic() + RETRY_SECONDS
        while transaction_id is not None and time.monotonic() < give_up:
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
        discard(self._connection)
        self._connection = None


class _Attempt:
    """How far one try at a group got."""

    __slots__ = ("committing", "taken", "transaction_id")

    def __init__(self) -> None:
        self.transaction_id: str | None = None
        self.committing = False
        self.taken = 0

    def reset(self) -> None:
        """Before the next try."""
        self.transaction_id, self.committing, self.taken = None, False, 0


def _settle(group: list[Work[Any]], taken: int) -> list[Work[Any]]:
    for work in group[:taken]:
        work.done = True
    return group[taken:]


def _fail(group: list[Work[Any]], error: BaseException) -> list[Work[Any]]:
    for work in group:
        work.done, work.error = True, error
    return []


def _unknown_outcome() -> Unavailable:
    return Unavailable(
        "the database was lost while it committed, and the outcome is unknown; repeat the call with the same "
        "idempotency key, or read the object first"
    )
