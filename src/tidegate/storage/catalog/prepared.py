"""Statements that are compiled once and run straight on the driver, for what is written or asked by the thousand.

The statement is SQLAlchemy's, so it is one for both databases; what is saved is what SQLAlchemy does around each
execution, which costs several times what SQLite takes for a row.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa

from tidegate.storage.catalog.dialect import Dialect


class Prepared:
    """An INSERT, UPDATE or DELETE. Thread-safe.

    The values of a call have the names of the statement's parameters, the same at every call. Refused with
    `TypeError`: statements that return rows, and those whose SQL depends on their values (``IN``) or on defaults
    that Python makes.
    """

    __slots__ = ("_compiled", "_dialect", "_statement", "_transaction")

    def __init__(
        self, statement: sa.UpdateBase, dialect: Dialect, transaction: Callable[[], sa.Connection | None]
    ) -> None:
        self._statement = statement
        self._dialect = dialect
        self._transaction = transaction
        self._compiled: _Compiled | None = None

    def __call__(self, **values: object) -> int:
        """Run it in the ambient transaction; how many rows it changed."""
        connection, compiled = self._transaction(), self._compiled
        if connection is None or compiled is None:
            connection, compiled = self._ready(values)
        return self._dialect.control(connection, compiled.sql, compiled.parameters(values))

    def many(self, rows: Sequence[dict[str, Any]]) -> int:
        """Run it for each of several rows of values; how many rows that changed in all."""
        if not rows:
            return 0
        connection, compiled = self._ready(rows[0])
        return self._dialect.control_many(connection, compiled.sql, [compiled.parameters(row) for row in rows])

    def defer(self, rows: Sequence[dict[str, Any]]) -> None:
        """`many`, for whom nobody asks what it changed: it shares the way of the next statement, or of the commit.

        Where it fails, the error is that statement's.
        """
        if len(rows) == 1:
            self.soon(**rows[0])
        elif rows:
            connection, compiled = self._ready(rows[0])
            self._dialect.defer_many(connection, compiled.sql, [compiled.parameters(row) for row in rows])

    def soon(self, **values: object) -> None:
        """`defer`, of one row."""
        connection, compiled = self._ready(values)
        self._dialect.defer(connection, compiled.sql, compiled.parameters(values))

    def defer_columns(self, columns: dict[str, Sequence[Any]]) -> None:
        """`defer`, of rows that are given by columns, at least one; the statement takes nothing but columns."""
        if len(next(iter(columns.values()))) == 1:
            self.soon(**{name: column[0] for name, column in columns.items()})
            return
        connection, compiled = self._ready(columns)
        self._dialect.defer_columns(connection, compiled.sql, compiled.columns(columns))

    def _ready(self, values: Mapping[str, object]) -> "tuple[sa.Connection, _Compiled]":
        connection = self._transaction()
        if connection is None:
            raise RuntimeError("a prepared statement belongs inside write()")
        compiled = self._compiled
        if compiled is None:
            compiled = self._compiled = _Compiled(self._statement, self._dialect.writer().dialect, values)
        return connection, compiled


_DOUBLE: Final = 701
"""What PostgreSQL calls the type of our numbers, which SQLAlchemy otherwise learns from each answer."""


class PreparedQuery:
    """A SELECT, or a change with RETURNING. Thread-safe. Refused as `Prepared` refuses.

    Rows are named tuples, their values as SQLAlchemy reads them.
    """

    __slots__ = ("_fetch", "_select")

    def __init__(
        self,
        statement: sa.Select[Any] | sa.UpdateBase,
        dialect: Dialect,
        fetch: Callable[[str, Any], list[tuple[Any, ...]]],
    ) -> None:
        self._select = _Select(statement, dialect)
        self._fetch = fetch

    def __call__(self, **values: object) -> list[Any]:
        """The rows, in the ambient transaction or else of one committed snapshot."""
        return self._select.rows(self._fetch(*self._select.asked(values)))


class PreparedQueries:
    """Several SELECTs with the same parameters, asked at once. Thread-safe. Each is as a `PreparedQuery`."""

    __slots__ = ("_fetch_each", "_selects")

    def __init__(
        self,
        statements: Sequence[sa.Select[Any]],
        dialect: Dialect,
        fetch_each: Callable[[Sequence[tuple[str, Any]]], list[list[tuple[Any, ...]]]],
    ) -> None:
        self._selects = [_Select(statement, dialect) for statement in statements]
        self._fetch_each = fetch_each

    def __call__(self, **values: object) -> list[list[Any]]:
        """The rows of each, in the ambient transaction or else of one committed snapshot for all."""
        found = self._fetch_each([select.asked(dict(values)) for select in self._selects])
        return [select.rows(rows) for select, rows in zip(self._selects, found, strict=True)]


class _Select:
    """A query of one database, and how what the driver tells becomes rows."""

    __slots__ = ("_columns", "_compiled", "_dialect", "_results", "_row", "_statement")

    def __init__(self, statement: sa.Select[Any] | sa.UpdateBase, dialect: Dialect) -> None:
        self._statement = statement
        self._columns: Any = statement.exported_columns
        self._dialect = dialect
        self._compiled: _Compiled | None = None
        self._results: list[tuple[int, Any]] = []
        self._row = cast("Any", namedtuple)("Row", self._columns.keys())

    def asked(self, values: dict[str, Any]) -> tuple[str, Any]:
        """The SQL and its parameters."""
        compiled = self._compiled
        if compiled is None:
            dialect = self._dialect.reader().dialect
            columns = enumerate(self._columns)
            types = [(place, one.type.dialect_impl(dialect)) for place, one in columns]
            readers = [(place, kind.result_processor(dialect, _DOUBLE)) for place, kind in types]
            self._results = [(place, read) for place, read in readers if read is not None]
            compiled = self._compiled = _Compiled(self._statement, dialect, values, tells=True)
        return compiled.sql, compiled.parameters(values)

    def rows(self, found: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the driver found, as named tuples."""
        make = self._row._make
        return [make(self._read(row)) for row in found] if self._results else list(map(make, found))

    def _read(self, row: tuple[Any, ...]) -> list[Any]:
        cells = list(row)
        for place, read in self._results:
            cells[place] = read(cells[place])
        return cells


class _Compiled:
    """The SQL of one database, and how values become its parameters."""

    __slots__ = ("_constants", "_names", "_positional", "_processors", "sql")

    def __init__(
        self,
        statement: sa.UpdateBase | sa.Select[Any],
        dialect: sa.Dialect,
        values: Mapping[str, object],
        *,
        tells: bool = False,
    ) -> None:
        if isinstance(statement, sa.Insert):
            statement = statement.inline()  # nobody asks for the key that the database made
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(values))
        names = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in self._binds(compiled, tells)
        }
        if strangers := sorted(values.keys() - names):
            raise TypeError(f"this statement has no parameter {strangers[0]!r}: {compiled.string}")
        self.sql: str = compiled.string
        self._positional = bool(compiled.positional)
        self._names: list[str] = compiled.positiontup if self._positional else list(names)
        self._constants = {name: value for name, value in compiled.params.items() if name not in values}
        self._processors = [(name, process) for name, process in names.items() if process is not None]

    @staticmethod
    def _binds(compiled: Any, tells: bool) -> Iterable[tuple[sa.BindParameter[Any], str]]:
        if compiled.post_compile_params or compiled.prefetch or (compiled.effective_returning and not tells):
            raise TypeError(f"this statement cannot be prepared: {compiled.string}")
        return cast("Iterable[tuple[sa.BindParameter[Any], str]]", compiled.bind_names.items())

    def columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """For the driver, in its order. Raises `TypeError` for a statement that has more than columns."""
        if self._constants or len(self._names) != len(columns):
            raise TypeError(f"this statement takes no columns: {self.sql}")
        processed = {name: [process(value) for value in columns[name]] for name, process in self._processors}
        return {name: processed.get(name, columns[name]) for name in self._names}

    def parameters(self, values: dict[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        """For the driver. Raises `KeyError` naming a value that was not given."""
        if self._constants:
            values = {**self._constants, **values}
        for name, process in self._processors:
            values[name] = process(values[name])
        if self._positional:
            return tuple(map(values.__getitem__, self._names))
        return {name: values[name] for name in self._names}
