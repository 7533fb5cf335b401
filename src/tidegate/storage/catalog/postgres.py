"""PostgreSQL as the catalog, through psycopg 3 (extra ``postgres``).

The connection options are never left at libpq's defaults: without them a client behind a cut network hangs
for minutes, and two leaders believe in themselves.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from tidegate.kernel.errors import Unavailable
from tidegate.kernel.ids import random_id
from tidegate.storage.catalog.marks import marks

_OPTIONS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 2000,
}
_RETRY_STATES = ("57P01", "57P02", "57P03", "25P03", "40001", "40P01")
_COMMIT_ORDER_LOCK = 0x7469_6465  # one advisory lock for all homes in one database: "tide"
_PREPARE_WRITER = "SET idle_in_transaction_session_timeout = '30s'; SET tcp_keepalives_idle = 5"
_DAY = 86400
_MARKED = (
    "INSERT INTO transaction_mark VALUES (%s, %s, extract(epoch FROM now()))"
    " ON CONFLICT (writer) DO UPDATE SET number = excluded.number, seen = excluded.seen"
)
_VALUE = r"%\(\w+\)s::(?:BIGINT|INTEGER|VARCHAR|BYTEA)"
_HEAD, _CONFLICT = r"INSERT INTO \w+ \([^()]+\)", r"(?: ON CONFLICT DO NOTHING)?"
_INSERT = re.compile(rf"({_HEAD}) VALUES \(({_VALUE}(?:, {_VALUE})*)\)({_CONFLICT})")
_NO_TURN = contextlib.nullcontext()


class _Deferred(NamedTuple):
    """A statement that waits for the next one."""

    statement: str
    parameters: Any
    many: bool


_BEGIN = _Deferred("BEGIN", None, many=False)


class PostgresDialect:
    """A PostgreSQL database shared by any number of replicas.

    A statement costs a round trip, and on a busy machine each waits for its turn on the processor twice: so those whose
    outcome nobody asks for wait, and go with the next one or with the COMMIT.
    """

    name = "postgresql"
    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    quick_pulse = False  # a round trip, as a query is

    def __init__(self, address: str) -> None:
        url = sa.make_url(address).set(drivername="postgresql+psycopg")
        try:
            self._writer = self._engine(url, pool_size=1)
            self._reader = self._engine(url, pool_size=8)
        except ImportError as error:
            raise Unavailable("a PostgreSQL catalog needs the extra: pip install 'tidegate[postgres]'") from error
        sa.event.listen(self._writer, "connect", self._prepare_writer)
        sa.event.listen(self._writer, "before_cursor_execute", self._send_first)
        self._begun: sa.Connection | None = None
        self._waiting: list[_Deferred] = []  # on the connection that began last
        self._marker: Any = None  # the driver's connection that our mark was registered on
        self._mark = ""
        self._number = 0

    def _engine(self, url: sa.URL, pool_size: int) -> sa.Engine:
        return sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            execution_options={"preserve_rowcount": True},  # else an INSERT's is lost, and `on conflict` is not told
            connect_args=_OPTIONS,
            pool_size=pool_size,
            max_overflow=32,
            pool_reset_on_return=None,
        )

    def writer(self) -> sa.Engine:
        """The engine of the one writing connection."""
        return self._writer

    def reader(self) -> sa.Engine:
        """The engine of read-only connections."""
        return self._reader

    @staticmethod
    def _prepare_writer(connection: Any, _record: Any) -> None:
        """A replica that is cut off in mid-transaction must not hold its locks for ever."""
        connection.execute(_PREPARE_WRITER)

    def turn(self) -> AbstractContextManager[None]:
        """PostgreSQL queues writers by itself."""
        return _NO_TURN

    def take_turn(self) -> bool:
        """Every statement waits for the server."""
        return False

    def begin(self, connection: sa.Connection, durable: bool) -> str | None:
        """It goes with the first statement, the mark included; telemetry does not wait for the log's flush."""
        driver: Any = connection.connection.driver_connection
        self._begun, self._waiting = connection, []
        try:
            marked = self._marker is driver or self._register(driver)
        except Exception as error:
            raise self._wrap(connection, "BEGIN", error) from error
        flushed = f"SET LOCAL synchronous_commit = {'on' if durable else 'off'}"
        self._waiting = [_BEGIN, _Deferred(flushed, None, many=False)]
        if not marked:
            return None
        self._number += 1
        self._waiting.append(_Deferred(_MARKED, (self._mark, self._number), many=False))
        return f"{self._mark}:{self._number}"

    def _register(self, driver: Any) -> bool:
        """A new mark for a new connection, since the old one may still be locked; False in an empty database."""
        known = driver.execute("SELECT to_regclass(%s)", (marks.name,)).fetchone()
        if known[0] is None:
            return False
        self._mark, self._number, self._marker = random_id(), 0, driver
        driver.execute("DELETE FROM transaction_mark WHERE seen < extract(epoch FROM now()) - %s", (_DAY,))
        driver.execute("INSERT INTO transaction_mark VALUES (%s, 0, extract(epoch FROM now()))", (self._mark,))
        return True

    def control(self, connection: sa.Connection, statement: str, parameters: Any = ()) -> int:
        """Straight on the driver."""
        if self._waiting and connection is self._begun and statement.startswith("ROLLBACK"):
            self._take_back(whole=statement == "ROLLBACK")
        changed: int = self._run(connection, statement, parameters).rowcount
        return changed

    def defer(self, connection: sa.Connection, statement: str, parameters: Any = ()) -> None:
        """It goes with the next statement."""
        self._waiting.append(_Deferred(statement, parameters or None, many=False))

    def defer_many(self, connection: sa.Connection, statement: str, parameters: Sequence[Any]) -> None:
        """They go with the next statement."""
        self._waiting.append(_Deferred(statement, parameters, many=True))

    def defer_columns(self, connection: sa.Connection, statement: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """They go with the next statement."""
        at_once = _of_arrays(statement)
        if at_once is not None:
            arrays = {name: _array(column) for name, column in columns.items()}
            self._waiting.append(_Deferred(at_once, arrays, many=False))
            return
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        self.defer_many(connection, statement, rows)

    def control_many(self, connection: sa.Connection, statement: str, parameters: Sequence[Any]) -> int:
        """Straight on the driver, which does not wait for each answer."""
        changed: int = self._run(connection, statement, parameters, many=True).rowcount
        return changed

    def fetch(self, connection: sa.Connection, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """Straight on the driver."""
        rows: list[tuple[Any, ...]] = self._run(connection, statement, parameters).fetchall()
        return rows

    def fetch_each(self, connection: sa.Connection, queries: Sequence[tuple[str, Any]]) -> list[list[tuple[Any, ...]]]:
        """In one round trip."""
        asked = [_Deferred(statement, parameters or None, many=False) for statement, parameters in queries]
        return [each.fetchall() if each.description else [] for each in self._run_each(connection, asked)]

    def _run(self, connection: sa.Connection, statement: str, parameters: Any, *, many: bool = False) -> Any:
        return self._run_each(connection, [_Deferred(statement, parameters or None, many)])[0]

    def _run_each(self, connection: sa.Connection, asked: list[_Deferred]) -> list[Any]:
        """The cursors of some statements, after those that waited."""
        driver: Any = connection.connection.driver_connection
        waiting: list[_Deferred] = []
        if connection is self._begun:
            waiting, self._waiting = self._waiting, waiting
        try:
            if not waiting and len(asked) == 1:
                return [_executed(driver, asked[0])]
            with driver.pipeline():
                for each in waiting:
                    _executed(driver, each)
                return [_executed(driver, each) for each in asked]
        except Exception as error:
            raise self._wrap(connection, asked[0].statement, error) from error

    def _send_first(self, connection: sa.Connection, *_statement: Any) -> None:
        """Before what SQLAlchemy runs."""
        if self._waiting and connection is self._begun:
            last = self._waiting.pop()
            self._run(connection, last.statement, last.parameters, many=last.many)

    def _take_back(self, *, whole: bool) -> None:
        """Forget what is to be rolled back anyway: all of it, or what came after the last savepoint."""
        if whole:
            self._waiting = []
        while self._waiting and not self._waiting[-1].statement.startswith("SAVEPOINT"):
            self._waiting.pop()

    def _wrap(self, connection: sa.Connection, statement: str, error: Exception) -> Exception:
        base = connection.dialect.loaded_dbapi.Error
        return sa.exc.DBAPIError.instance(statement, None, error, base) if isinstance(error, base) else error

    def committed(self, transaction_id: str) -> bool | None:
        """A killed backend may have reported failure for what it committed: ask, never guess."""
        mark, _, number = transaction_id.partition(":")
        statement = "SELECT number FROM transaction_mark WHERE writer = %s FOR UPDATE"
        with self._reader.connect() as connection:
            driver: Any = connection.connection.driver_connection
            try:
                with driver.transaction():  # waits for a commit that is still on its way
                    driver.execute("SET LOCAL lock_timeout = '2s'")
                    row = driver.execute(statement, (mark,)).fetchone()
            except Exception as error:
                connection.invalidate()
                raise self._wrap(connection, statement, error) from error
        return None if row is None else bool(row[0] == int(number))

    def serialise(self, connection: sa.Connection) -> None:
        """Held until the commit, so positions appear in the order of commits. At once: moments are taken after it."""
        self._run(connection, f"SELECT pg_advisory_xact_lock({_COMMIT_ORDER_LOCK})", ())

    def in_transaction(self, connection: sa.Connection) -> bool:
        """A failed statement leaves the transaction open, to be rolled back to a savepoint."""
        return not connection.invalidated and not connection.closed

    def spoilt(self, connection: sa.Connection) -> bool:
        """PostgreSQL answers the COMMIT of a failed transaction with a silent ROLLBACK."""
        if connection.invalidated:
            return True
        if self._waiting and self._waiting[0] is _BEGIN:
            return False
        driver: Any = connection.connection.driver_connection
        return bool(driver.info.transaction_status != driver.info.transaction_status.INTRANS)

    def lost(self, error: sa.exc.DBAPIError) -> bool:
        """Lost connection, server shutting down or starting, serialisation failure, deadlock."""
        if error.connection_invalidated:
            return True
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            return isinstance(error, sa.exc.OperationalError)
        return state in _RETRY_STATES or state.startswith("08")

    def full(self, error: sa.exc.DBAPIError) -> bool:
        """disk_full."""
        return getattr(error.orig, "sqlstate", None) == "53100"

    def unanswered(self, error: sa.exc.DBAPIError) -> bool:
        """Anything that is not the statement's own fault."""
        return isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)

    def insert(self, table: sa.Table) -> Any:
        """INSERT with a conflict clause."""
        return postgresql.insert(table)

    def pulse(self, connection: sa.Connection) -> object:
        """The snapshot names every transaction that is still open: it changes with each commit."""
        return connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one()

    def seconds(self, fetch: Callable[[str], list[tuple[Any, ...]]]) -> float:
        """The server's clock: replicas' own clocks disagree."""
        return float(fetch("SELECT extract(epoch FROM clock_timestamp())")[0][0])

    def close(self) -> None:
        """Take our mark away and release the connections."""
        if self._marker is not None:
            with contextlib.suppress(self._writer.dialect.loaded_dbapi.Error):
                self._marker.execute("DELETE FROM transaction_mark WHERE writer = %s", (self._mark,))
        self._writer.dispose()
        self._reader.dispose()


def _executed(driver: Any, what: _Deferred) -> Any:
    """The cursor of a statement that has run, or that runs with the pipeline that it is in."""
    if not what.many:
        return driver.execute(what.statement, what.parameters)
    at_once = _of_arrays(what.statement)
    if at_once is not None:
        rows = what.parameters
        return driver.execute(at_once, {name: _array([row[name] for row in rows]) for name in rows[0]})
    cursor = driver.cursor()
    cursor.executemany(what.statement, what.parameters)
    return cursor


def _array(values: Sequence[Any]) -> list[Any] | str:
    """An array; numbers as PostgreSQL writes them, for which the driver takes twenty times as long."""
    if all(value.__class__ is int for value in values):
        return "{" + ",".join(map(str, values)) + "}"
    return list(values)


@functools.lru_cache(256)
def _of_arrays(statement: str) -> str | None:
    """An INSERT of one row as one of many, from an array a column; None where it may not be said so.

    A row of an `on conflict do update` may come twice only in statements of their own.
    """
    found = _INSERT.fullmatch(statement)
    if found is None:
        return None
    insert, values, otherwise = found.groups()
    return f"{insert} SELECT {', '.join(f'unnest({value}[])' for value in values.split(', '))}{otherwise}"
