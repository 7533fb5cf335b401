"""PostgreSQL as the catalog of a served home, killed and started again under load: nothing acknowledged is lost."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.load import Load, lost
from tests.integration.tidegate_process import PATIENCE, TidegateProcess, until
from tests.postgres import Databases
from tests.slices import deployed
from tidegate.testing.workspaces import Home
from tidegate.workspace import open_workspace


@pytest.fixture
def databases() -> Iterator[Databases]:
    """A PostgreSQL server of the test's own, since it will be killed."""
    with Databases() as server:
        yield server


class Operator:
    """Adds people over HTTP, each under an idempotency key, until it is acknowledged."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.added: list[str] = []
        self.failure = ""

    def _run(self) -> None:
        turn = 0
        while not self._stop.is_set():
            name = f"person-{turn}"
            if self._add(name):
                self.added.append(name)
                turn += 1
            time.sleep(0.02)

    def _add(self, name: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        body = json.dumps({"name": name, "role": "viewer"}).encode()
        headers = {"content-type": "application/json", "idempotency-key": name}
        with contextlib.closing(connection):
            connection.request("POST", "/api/v1/people", body, headers)
            reply = connection.getresponse()
            content = reply.read()
        if reply.status not in (200, 503):
            self.failure = f"{name}: {reply.status} {content!r}"
            self._stop.set()
        return reply.status == 200

    def more(self, count: int) -> None:
        """Until so many more are acknowledged."""
        wanted = len(self.added) + count
        until(lambda: bool(self.failure) or len(self.added) >= wanted, "operations were answered")
        assert not self.failure

    def __enter__(self) -> "Operator":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)


def test_a_killed_catalog_loses_nothing(tmp_path: Path, databases: Databases) -> None:
    catalog = databases.new()
    home = Home(tmp_path / "home", "local", catalog)
    deployed(home)
    home.close()
    server = TidegateProcess(tmp_path / "home", catalog=catalog)
    try:
        server.start()
        serving = server.child("http.server")
        with Load(server.port) as load, Operator(server.port) as operator:
            for pause in (0.0, 2.5):  # restarted at once, and after what is remembered of rights has run out
                load.more(30)
                operator.more(5)
                databases.crash()
                time.sleep(pause)
                databases.restart()
                load.more(30)
                operator.more(5)
        assert server.child("http.server") == serving, "who serves has survived"
        assert load.cut_off == 0
        people = {each["name"] for each in server.ask("GET", "/api/v1/people?limit=1000")[1]["items"]}
        assert people >= set(operator.added)
        with open_workspace(tmp_path / "home", catalog=catalog) as workspace:
            assert workspace.audit.verify().intact
        assert not lost(load, tmp_path / "home", server, catalog)
        assert server.terminate() == 0
    finally:
        server.end()
