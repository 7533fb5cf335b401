"""One served home for all tests of the HTTP edge, where those that write use names of their own; and a browser."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.contract.endpoints.serving_home import ROW
from tests.integration.http.served_home import ENDPOINT, ServedHome, log_version
from tidegate.http.meter import PrometheusMeter
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local
from tools.browser import CHROMIUM, launched


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHome]:
    """A server over a home in which the endpoint `late` answers."""
    settings = Settings(home=str(tmp_path_factory.mktemp("served") / "home"))
    with open_local(settings, meter=PrometheusMeter()) as workspace, serving(workspace) as url:
        workspace.endpoints.deploy(ENDPOINT, log_version(workspace, "late"))
        workspace.endpoints.predict(ENDPOINT, [ROW])  # the journal's first row takes a writer's number
        yield ServedHome(workspace, url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Its absence fails in CI; elsewhere these tests are skipped."""
    if shutil.which(CHROMIUM) is None:
        told = f"there is no {CHROMIUM}: run bash tools/debian_packages.sh as root"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    with launched() as found:
        yield found
