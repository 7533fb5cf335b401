"""Opening a catalog: create an empty one and stamp it, or bring an older one up to date."""

from pathlib import Path

import sqlalchemy as sa

import tidegate.storage.catalog.marks  # noqa: F401 - its table is part of every catalog
from tidegate.kernel.errors import Conflict, Invalid
from tidegate.storage.catalog.catalog import Catalog
from tidegate.storage.catalog.dialect import Dialect
from tidegate.storage.migrations.heads import HEADS
from tidegate.storage.schema import metadata

_VERSIONS = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
_CREATION_LOCK = 0x7469_6465_0001


def open_catalog(address: str, folder: Path) -> Catalog:
    """The catalog at an address (empty: SQLite in the folder), created or migrated where that is needed."""
    catalog = Catalog(_dialect(address, folder))
    try:
        stamped = _stamps(catalog)
        if stamped is None:
            stamped = _create(catalog)
        if not stamped >= _needed():
            _upgrade(catalog, stamped)
        elif not stamped <= set(HEADS.values()):
            _refuse_unknown(stamped)
    except BaseException:
        catalog.close()
        raise
    return catalog


def _needed() -> set[str]:
    """The heads of the rooms whose tables this process knows."""
    rooms = {known.info["room"] for known in metadata.tables.values()}
    return {head for room, head in HEADS.items() if room in rooms}


def _dialect(address: str, folder: Path) -> Dialect:
    if not address:
        from tidegate.storage.catalog.sqlite import SqliteDialect

        return SqliteDialect(folder / "catalog.db")
    if address.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        from tidegate.storage.catalog.postgres import PostgresDialect

        return PostgresDialect(address.replace("postgres://", "postgresql://", 1))
    raise Invalid(f"catalog address {address.split('@')[-1]!r}: leave it empty for SQLite, or give postgresql://…")


def _stamps(catalog: Catalog) -> frozenset[str] | None:
    with catalog.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return frozenset(connection.execute(sa.select(_VERSIONS.c.version_num)).scalars())


def _create(catalog: Catalog) -> frozenset[str]:
    def work() -> frozenset[str]:
        with catalog.connect() as connection:
            _wait_turn(connection)
            if sa.inspect(connection).has_table("alembic_version"):  # another process was faster
                return frozenset(connection.execute(sa.select(_VERSIONS.c.version_num)).scalars())
            metadata.create_all(connection, checkfirst=False)
            _VERSIONS.create(connection)
            for head in sorted(_needed()):
                connection.execute(_VERSIONS.insert().values(version_num=head))
            return frozenset(_needed())

    return catalog.write(work)


def _wait_turn(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATION_LOCK})")


def _upgrade(catalog: Catalog, stamped: frozenset[str]) -> None:
    from tidegate.storage.migrations import alembic_steps

    _refuse_unknown(stamped)

    def work() -> None:
        with catalog.connect() as connection:
            _wait_turn(connection)
            alembic_steps.upgrade(connection)

    catalog.write(work)


def _refuse_unknown(stamped: frozenset[str]) -> None:
    from tidegate.storage.migrations import alembic_steps

    unknown = stamped - alembic_steps.known_revisions()
    if unknown:
        raise Conflict(
            f"this home was written by a newer Tidegate (revisions {', '.join(sorted(unknown))} are unknown here); "
            "install that version or newer"
        )
