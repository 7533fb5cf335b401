"""A disk that fills up beneath a running server: it refuses, loses nothing acknowledged, and goes on."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.load import Load, lost
from tests.integration.tidegate_process import TidegateProcess, until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tidegate-test", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"NOT TESTED: a full disk. Mounting a tmpfs is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_predictions_until_there_is_room(deployed_home: Path, small_disk: Path) -> None:
    home = small_disk / "home"
    shutil.copytree(deployed_home, home)
    server = TidegateProcess(home)
    server.log_to(small_disk.parent / "server.log")
    try:
        server.start()
        serving = server.child("http.server")
        with Load(server.port) as load:
            for _ in range(2):
                load.more(30)
                refused = load.refusals.total()
                _fill(small_disk / "ballast")
                _until_refused(load, refused + 20)
                status, answer = server.ask("POST", "/api/v1/people", {"name": f"p{refused}", "role": "viewer"})
                assert (status, answer.get("code")) in [(503, "unavailable"), (200, None)], answer
                assert server.ask("GET", "/api/v1/endpoints")[0] == 200, "what only reads goes on"
                (small_disk / "ballast").unlink()
                load.more(30)
        assert all("disk" in message and "full" in message for message in load.refusals), load.refusals
        assert load.cut_off == 0
        assert server.child("http.server") == serving, "the same process goes on"
        assert not lost(load, home, server)
        assert server.ask("POST", "/api/v1/people", {"name": "after", "role": "viewer"})[0] == 200
        assert server.terminate() == 0
    finally:
        server.end()


def _until_refused(load: Load, times: int) -> None:
    until(lambda: load.refusals.total() > times, "predictions and labels were refused")


def _fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with contextlib.suppress(OSError):
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(os.urandom(size)) == size:
                        pass
