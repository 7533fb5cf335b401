"""PostgreSQL as the catalog, through psycopg 3 (extra ``postgres``).

The connection options are never left at libpq's defaults: without them a client behind a cut network hangs
for minutes, and two leaders believe in themselves.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from tidegate.kernel.errors import Unavailable

_OPTIONS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 2000,
}
_RETRY_STATES = ("57P01", "57P02", "57P03", "40001", "40P01")
_COMMIT_ORDER_LOCK = 0x7469_6465  # one advisory lock for all homes in one database: "tide"


class PostgresDialect:
    """A PostgreSQL database shared by any number of replicas."""

    name = "postgresql"
    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

    def __init__(self, address: str) -> None:
        url = sa.make_url(address).set(drivername="postgresql+psycopg")
        try:
            self._writer = self._engine(url, pool_size=1)
            self._reader = self._engine(url, pool_size=8)
        except ImportError as error:
            raise Unavailable("a PostgreSQL catalog needs the extra: pip install 'tidegate[postgres]'") from error

    def _engine(self, url: sa.URL, pool_size: int) -> sa.Engine:
        return sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
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

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """PostgreSQL queues writers by itself."""
        yield

    def begin(self, connection: sa.Connection, durable: bool) -> str | None:
        """One round trip; telemetry does not wait for the log's flush; PostgreSQL remembers the outcome by its id."""
        mode = "on" if durable else "off"
        statement = f"BEGIN; SET LOCAL synchronous_commit = {mode}; SELECT pg_current_xact_id()"
        driver: Any = connection.connection.driver_connection
        try:
            cursor = driver.execute(statement)
            while cursor.nextset():
                pass
            return str(cursor.fetchone()[0])
        except Exception as error:
            raise self._wrap(connection, statement, error) from error

    def control(self, connection: sa.Connection, statement: str) -> None:
        """Straight on the driver."""
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute(statement)
        except Exception as error:
            raise self._wrap(connection, statement, error) from error

    def _wrap(self, connection: sa.Connection, statement: str, error: Exception) -> Exception:
        if not isinstance(error, connection.dialect.loaded_dbapi.Error):
            return error
        return sa.exc.OperationalError(statement, None, error)

    def committed(self, transaction_id: str) -> bool | None:
        """A killed backend may have reported failure for what it committed: ask, never guess."""
        with self._reader.connect() as connection:
            status = connection.execute(
                sa.text("SELECT pg_xact_status(CAST(:xid AS xid8))"), {"xid": transaction_id}
            ).scalar_one()
        return None if status == "in progress" else status == "committed"

    def serialise(self, connection: sa.Connection) -> None:
        """Held until the commit, so positions appear in the order of commits."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_COMMIT_ORDER_LOCK})")

    def in_transaction(self, connection: sa.Connection) -> bool:
        """A failed statement leaves the transaction open, to be rolled back to a savepoint."""
        return not connection.invalidated and not connection.closed

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

    def insert(self, table: sa.Table) -> Any:
        """INSERT with a conflict clause."""
        return postgresql.insert(table)

    def pulse(self, connection: sa.Connection) -> object:
        """The snapshot names every transaction that is still open: it changes with each commit."""
        return connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one()

    def seconds(self, connection: sa.Connection) -> float:
        """The server's clock: replicas' own clocks disagree."""
        return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())

    def close(self) -> None:
        """Release the connections."""
        self._writer.dispose()
        self._reader.dispose()
