"""Homes with a simulated clock, in which canaries are rolled out, reached in the four ways."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import WAYS
from tests.contract.rollouts.flown_flights import FlownFlights
from tests.postgres import catalog_on
from tidegate.testing.workspaces import Home


@pytest.fixture(params=WAYS)
def flown(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FlownFlights]:
    """A new home, in which nothing has flown yet."""
    way, _, database = request.param.partition("-")
    home = Home(tmp_path / "home", way, catalog_on(database, request), simulated_clock=True)
    yield FlownFlights(home)
    home.close()
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
