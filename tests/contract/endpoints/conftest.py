"""Homes that serve, new for each test or shared by a module's, with their catalog on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.endpoints.serving_home import ServingHome


@pytest.fixture
def serving_home(own_catalog: str, tmp_path: Path) -> Iterator[ServingHome]:
    """A new home."""
    home = ServingHome(tmp_path / "home", own_catalog)
    yield home
    home.close()


@pytest.fixture(scope="module")
def late_home(new_catalog: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingHome]:
    """A home with the endpoints `late` (two classes, text) and `delay` (a regression)."""
    home = ServingHome(tmp_path_factory.mktemp("home"), new_catalog())
    home.deployed("linear, text", "late")
    home.deployed("regression", "delay")
    yield home
    home.close()
