"""Reading the catalog: each reader sees one committed snapshot, and waits out a database that is restarting."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from tidegate.kernel.errors import Invalid, Unavailable
from tidegate.kernel.ids import jitter
from tidegate.storage.catalog.dialect import Dialect

T = TypeVar("T")

RETRY_SECONDS = 15.0
"""How long a lost database is waited for before a caller hears `Unavailable`."""


class Snapshots:
    """Read-only connections, and the pulse of the catalog. Thread-safe."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._pulse_lock = threading.Lock()
        self._pulse_connection: sa.Connection | None = None
        self._pulse_connections = 0  # how many there were: SQLite's numbers mean nothing on another connection

    @contextlib.contextmanager
    def take(self) -> Iterator[sa.Connection]:
        """A connection on one committed snapshot."""
        connection, pool, _ = self._patiently(lambda fresh: self._dialect.control(fresh, self._dialect.begin_read))
        try:
            yield connection
        except sa.exc.DBAPIError as error:
            raise translated(self._dialect, error) from error
        finally:
            self._end(connection, pool, begun=True)

    def pulse(self) -> object:
        """A value that changes whenever anybody commits."""
        return self._at_hand(lambda connection: (self._pulse_connections, self._dialect.pulse(connection)))

    def fetch(self, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of one query. It is a snapshot by itself; where queries are quick they share a connection."""
        if self._dialect.quick_pulse:
            return self._at_hand(lambda connection: self._dialect.fetch(connection, statement, parameters))
        connection, pool, rows = self._patiently(lambda fresh: self._dialect.fetch(fresh, statement, parameters))
        self._end(connection, pool, begun=False)
        return rows

    def fetch_each(self, queries: Sequence[tuple[str, Any]]) -> list[list[tuple[Any, ...]]]:
        """The rows of each of several queries, of one snapshot: its beginning and its end go the same way."""
        asked = [(self._dialect.begin_read, ()), *queries, ("ROLLBACK", ())]

        def look(fresh: sa.Connection) -> list[list[tuple[Any, ...]]]:
            try:
                return self._dialect.fetch_each(fresh, asked)
            except BaseException:
                discard(fresh)  # the snapshot is open still
                raise

        connection, pool, found = self._patiently(look)
        self._end(connection, pool, begun=False)
        return found[1:-1]

    def _at_hand(self, look: Callable[[sa.Connection], T]) -> T:
        """What is seen on the connection that is kept for looks of a few microseconds."""
        with self._pulse_lock:
            try:
                if self._pulse_connection is None:
                    self._pulse_connection = self._dialect.reader().connect()
                    self._pulse_connections += 1
                return look(self._pulse_connection)
            except sa.exc.DBAPIError as error:
                discard(self._pulse_connection)
                self._pulse_connection = None
                raise translated(self._dialect, error) from error

    def close(self) -> None:
        """Release the connections."""
        discard(self._pulse_connection)
        self._pulse_connection = None

    def _patiently(self, look: Callable[[sa.Connection], T]) -> tuple[sa.Connection, sa.Pool, T]:
        """A connection, the pool that it is of, and what is seen on it first; a lost database is waited for."""
        give_up = 0.0
        pause = 0.01
        while True:
            connection, pool = None, self._dialect.reader().pool
            try:
                connection = self._dialect.reader().connect()
                seen = look(connection)
            except sa.exc.DBAPIError as error:
                give_up = give_up or time.monotonic() + RETRY_SECONDS
                discard(connection)
                if not self._dialect.lost(error) or time.monotonic() > give_up:
                    raise translated(self._dialect, error) from error
                self._dialect.reader().dispose()  # the idle ones are as dead
            else:
                return connection, pool, seen
            time.sleep(pause * jitter())
            pause = min(pause * 2, 0.5)

    def _end(self, connection: sa.Connection, pool: sa.Pool, *, begun: bool) -> None:
        if pool is not self._dialect.reader().pool:
            discard(connection)  # its pool was disposed of meanwhile, and would keep it open for nobody
            return
        try:
            if begun and not connection.invalidated:
                self._dialect.control(connection, "ROLLBACK")
        except sa.exc.DBAPIError:
            connection.invalidate()
        finally:
            connection.close()


class Reads:
    """Statements that tell rows, straight on the driver. Thread-safe."""

    def __init__(self, dialect: Dialect, snapshots: Snapshots, transaction: Callable[[], sa.Connection | None]) -> None:
        self._dialect = dialect
        self._snapshots = snapshots
        self._transaction = transaction

    def fetch(self, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, in the ambient transaction if there is one."""
        ambient = self._transaction()
        if ambient is None:
            return self._snapshots.fetch(statement, parameters)
        return self._dialect.fetch(ambient, statement, parameters)

    def fetch_each(self, queries: Sequence[tuple[str, Any]]) -> list[list[tuple[Any, ...]]]:
        """The rows of each of several queries, in the ambient transaction or else of one snapshot."""
        ambient = self._transaction()
        if ambient is None:
            return self._snapshots.fetch_each(queries)
        return self._dialect.fetch_each(ambient, queries)

    def change(self, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
        """The rows that a change tells. Raises `RuntimeError` outside of a transaction."""
        ambient = self._transaction()
        if ambient is None:
            raise RuntimeError("a prepared statement belongs inside write()")
        return self._dialect.fetch(ambient, statement, parameters)


def translated(dialect: Dialect, error: sa.exc.DBAPIError) -> Exception:
    """What a caller is told: `Unavailable` for a full disk or a database that does not answer, else the error."""
    if isinstance(error, sa.exc.DataError):
        reason = str(error.orig).partition("\n")[0]
        return Invalid(f"the catalog cannot hold what was given: {reason}; nothing was written")
    if dialect.full(error):
        return Unavailable("the disk of the catalog is full; nothing was written. Free some space and try again")
    if dialect.unanswered(error):
        reason = str(error.orig).splitlines()[0] if error.orig and str(error.orig) else "no answer"
        return Unavailable(f"the catalog does not answer ({reason}); nothing was written, try again")
    return error


def discard(connection: sa.Connection | None) -> None:
    """Close a connection that is of no use any more, so that its pool does not hand it out again."""
    if connection is not None:
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            connection.invalidate()
            connection.close()
