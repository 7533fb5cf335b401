"""`kill -9` of any process of a server under load: nothing that a client was told is lost."""

import os
import signal
import time
from pathlib import Path

from tests.integration.faults.load import Load, lost
from tests.integration.tidegate_process import TidegateProcess, is_alive, until
from tests.slices import ENDPOINT
from tidegate.storage.journal import verify
from tidegate.workspace import LocalWorkspace, open_workspace


def test_a_killed_serving_process_loses_nothing(server: TidegateProcess, home: Path) -> None:
    server.start()
    with Load(server.port) as load:
        for _ in range(3):
            load.more()
            server.kill("http.server")
        load.more()
    assert load.cut_off > 0
    assert not lost(load, home, server)


def test_a_killed_controller_process_loses_nothing(server: TidegateProcess, home: Path) -> None:
    server.settings = {"segment_seconds": "1"}
    server.start()
    with Load(server.port) as load:
        for nap in (0.9, 0.0, 1.2, 0.6, 1.0):  # at the start, and in the midst of sealing and of windows
            load.more(40)
            server.child("workspace.controlling")
            time.sleep(nap)
            server.kill("workspace.controlling")
        for _ in range(3):  # just after a seal
            links = _sound_links(home)
            until(lambda: _sound_links(home) > links, "a segment is sealed")  # noqa: B023 - waited for here
            load.more(20)
            server.kill("workspace.controlling")
        load.more()
    assert load.cut_off == 0, "who serves goes on while controllers die"
    assert not lost(load, home, server)
    until(lambda: _settled(server, home), "everything is in windows, once")
    assert _sound_links(home) > 2, "segments were sealed meanwhile"


def test_processes_of_a_killed_supervisor_end_and_a_new_server_goes_on(server: TidegateProcess, home: Path) -> None:
    server.start()
    with Load(server.port) as load:
        load.more()
        orphans = [server.child("http.server"), server.child("workspace.controlling")]
        os.kill(server.pid, signal.SIGKILL)
        assert server.process is not None
        server.process.wait()
        server.start()
        load.more()
        until(lambda: not any(map(is_alive, orphans)), "the processes of the dead supervisor ended by themselves")
    assert not lost(load, home, server)


def _sound_links(home: Path) -> int:
    """How long the chain of sealed segments is, each of them as it was sealed."""
    with open_workspace(home) as workspace:
        assert isinstance(workspace, LocalWorkspace)
        report = verify(workspace.storage.journal_index)
    assert report.sound
    return report.links


def _windowed(server: TidegateProcess) -> tuple[int, int]:
    status, page = server.ask("GET", f"/api/v1/monitors/{ENDPOINT}/windows?limit=1000")
    assert status == 200, page
    return sum(each["predictions"] for each in page["items"]), sum(each["labels"] for each in page["items"])


def _settled(server: TidegateProcess, home: Path) -> bool:
    with open_workspace(home) as workspace:
        counts = [each for each in workspace.predictions.count() if each.endpoint == ENDPOINT]
        labelled = workspace.predictions.scan(ENDPOINT).collect()["label"].is_not_null().sum()
    return _windowed(server) == (counts[0].predictions, labelled)
