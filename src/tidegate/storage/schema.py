"""The tables of all rooms in one metadata; each table says which room, and so which migration branch, it is of."""

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Micros = sa.BigInteger
"""An instant as integer microseconds UTC."""

AutoKey = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""An integer key that the database counts up; SQLite does so only for INTEGER."""

HOLDS_NONE: dict[str, Any] = {"holds_objects": False}
"""The ``info`` of a column that looks as if it named objects, and does not: see `storage.released`."""

OF_RUN: dict[str, Any] = {"of_run": True}
"""The ``info`` of a column outside the room of runs that names a run, which it lets go of when the run is purged: it is
null then; where it is in the key, the row goes."""


def table(name: str, *parts: Any, room: str, by_key: bool = False) -> sa.Table:
    """A table that belongs to a room. ``by_key``: SQLite keeps its rows in the primary key itself; for small rows."""
    options: dict[str, Any] = {"sqlite_with_rowid": False} if by_key else {}
    return sa.Table(name, metadata, *parts, info={"room": room}, sqlite_autoincrement=True, **options)
