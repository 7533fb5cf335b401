"""One home seen in four ways, and a real PostgreSQL to put its catalog on."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postgres import Databases

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home
    from tidegate.workspace import Workspace

WAYS = ("local-sqlite", "wire-sqlite", "http-sqlite", "local-postgres")
DATABASES = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A PostgreSQL server of this test process, from the wheel; each database in it is new."""
    with Databases() as server:
        yield server


@pytest.fixture(scope="module", params=DATABASES)
def new_catalog(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Says where the catalog of one more home lies: on SQLite in its folder, on PostgreSQL in a new database."""
    if request.param == "sqlite":
        return str
    databases: Databases = request.getfixturevalue("databases")
    return databases.with_catalog


@pytest.fixture(params=WAYS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[Home]":
    """A new home, reached in one of four ways."""
    from tidegate.testing.workspaces import Home

    way, _, database = request.param.partition("-")
    catalog = ""
    if database == "postgres":
        catalog = request.getfixturevalue("databases").with_catalog()
    made = Home(tmp_path / "home", way, catalog)
    yield made
    made.close()
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.fixture
def workspace(home: "Home") -> "Workspace":
    """The rooms of a new home, as the person `local`."""
    return home.workspace


@pytest.fixture
def acting(home: "Home") -> "Callable[[str], Workspace]":
    """Opens the same home as somebody else, whom `people.add` has added."""
    return home.acting
