"""A home with a deployed model, made once and copied for each test that wants one of its own."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.tidegate_process import TidegateProcess


@pytest.fixture(scope="session")
def deployed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which `tests.slices.deployed` ran; never written to. All processes of the test run share it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    home = folder / "deployed-home"
    with (folder / "deployed-home.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _make(folder / "deployed-home.unfinished").rename(home)
    return home


def _make(folder: Path) -> Path:
    from tests.slices import deployed
    from tidegate.testing.workspaces import Home

    shutil.rmtree(folder, ignore_errors=True)
    home = Home(folder, "local")
    deployed(home)
    home.close()
    return folder


@pytest.fixture
def home(deployed_home: Path, tmp_path: Path) -> Path:
    """A home of the test's own, with the endpoint `late-arrival` deployed."""
    copy = tmp_path / "home"
    shutil.copytree(deployed_home, copy)
    return copy


@pytest.fixture
def server(home: Path) -> Iterator[TidegateProcess]:
    """A server over that home, not yet started."""
    process = TidegateProcess(home)
    yield process
    process.end()
