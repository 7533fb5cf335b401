"""A tick over HTTP is done by the server's controller process, which may die over it and be started again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tidegate as tg
from tests.integration.tidegate_process import TidegateProcess, until
from tidegate.kernel.errors import Conflict
from tidegate.workspace import Workspace

START = datetime(2013, 4, 1, tzinfo=UTC)


def refused(ws: Workspace) -> bool:
    """Whether a tick is refused because the controllers run by themselves."""
    try:
        ws.loop.tick()
    except Conflict as error:
        return "another process runs the controllers" in error.message
    return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TidegateProcess]:
    """The server of a simulated home."""
    made = TidegateProcess(tmp_path / "home")
    try:
        made.start("--simulated-clock")
        yield made
    finally:
        made.end()


def test_the_controller_process_ticks_and_another_one_goes_on(server: TidegateProcess) -> None:
    with tg.open(server.url) as ws:
        assert ws.loop.tick(until=START).now == START
        server.kill("workspace.controlling")
        assert ws.loop.tick(until=START + timedelta(days=1)).now == START + timedelta(days=1)
    maps = (Path("/proc") / str(server.child("http.server")) / "maps").read_text()
    assert "polars" not in maps  # the serving process had somebody else do it


def test_a_folder_is_ticked_in_place_beside_its_server(server: TidegateProcess) -> None:
    with tg.open(server.home) as ws:
        assert ws.loop.tick(until=START).now == START


def test_a_real_home_has_a_server_that_ticks_by_itself(tmp_path: Path) -> None:
    made = TidegateProcess(tmp_path / "real")
    try:
        made.start()
        with tg.open(made.url) as ws:
            until(lambda: refused(ws), "the controller process has taken the lease")
    finally:
        made.end()
