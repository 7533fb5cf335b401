"""What a database must tell the catalog about itself; one file a database implements it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import sqlalchemy as sa


class Dialect(Protocol):
    """The differences between SQLite and PostgreSQL, and nothing else."""

    name: str
    begin_read: str
    quick_pulse: bool
    """Whether `pulse` costs less than any query would."""

    def writer(self) -> sa.Engine:
        """The engine of the one writing connection, in driver autocommit."""
        ...

    def reader(self) -> sa.Engine:
        """The engine of read-only connections, in driver autocommit."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """This process's turn to write, among all processes."""
        ...

    def take_turn(self) -> bool:
        """Take it if no process has it, and if writing is no round trip; the next `turn` then finds it taken.

        No thread of this process may have it: they all have it as one.
        """
        ...

    def begin(self, connection: sa.Connection, durable: bool) -> str | None:
        """Open a write transaction; return a name under which its outcome can be asked later, if that is needed."""
        ...

    def control(self, connection: sa.Connection, statement: str, parameters: Any = ()) -> int:
        """Run what returns no rows as cheaply as the driver can; how many rows it changed."""
        ...

    def defer(self, connection: sa.Connection, statement: str, parameters: Any = ()) -> None:
        """`control`, where nobody asks what it changed: on the way at the latest with the next statement."""
        ...

    def defer_many(self, connection: sa.Connection, statement: str, parameters: Sequence[Any]) -> None:
        """`control_many` in the same way."""
        ...

    def defer_columns(self, connection: sa.Connection, statement: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """`defer_many`, of parameters by columns, which stand in the order of the statement."""
        ...

    def control_many(self, connection: sa.Connection, statement: str, parameters: Sequence[Any]) -> int:
        """Run it for each of several parameters, at least one; how many rows that changed in all."""
        ...

    def fetch(self, connection: sa.Connection, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, as the driver has them, as cheaply as it can."""
        ...

    def fetch_each(self, connection: sa.Connection, queries: Sequence[tuple[str, Any]]) -> list[list[tuple[Any, ...]]]:
        """The rows of each of several statements, each with its parameters."""
        ...

    def committed(self, transaction_id: str) -> bool | None:
        """Whether that transaction was committed, None while it is still running."""
        ...

    def serialise(self, connection: sa.Connection) -> None:
        """Let no other transaction commit between now and our own commit."""
        ...

    def in_transaction(self, connection: sa.Connection) -> bool:
        """Whether the transaction is still open after an error."""
        ...

    def spoilt(self, connection: sa.Connection) -> bool:
        """Whether a failed statement, whose error nobody passed on, keeps the transaction from being committed."""
        ...

    def lost(self, error: sa.exc.DBAPIError) -> bool:
        """Whether the connection was lost, or a serialisation failed: the work may be tried again."""
        ...

    def full(self, error: sa.exc.DBAPIError) -> bool:
        """Whether the disk is full."""
        ...

    def unanswered(self, error: sa.exc.DBAPIError) -> bool:
        """Whether the database could not do it now, and the statement is not to blame."""
        ...

    def insert(self, table: sa.Table) -> Any:
        """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
        ...

    def pulse(self, connection: sa.Connection) -> object:
        """A value that changes whenever anybody commits."""
        ...

    def seconds(self, fetch: Callable[[str], list[tuple[Any, ...]]]) -> float:
        """The clock that every process sharing this catalog agrees on, for leases; ``fetch`` asks the database."""
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...
