"""One home seen in four ways, and a real PostgreSQL to put its catalog on."""

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postgres import Databases, catalog_on

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
def database(request: pytest.FixtureRequest) -> str:
    """What the catalog of a home lies on; one after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def new_catalog(database: str, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Says where the catalog of one more home lies; there until the module's last test has run."""
    return functools.partial(catalog_on, database, request)


@pytest.fixture
def own_catalog(database: str, request: pytest.FixtureRequest) -> str:
    """Where the catalog of the test's own home lies."""
    return catalog_on(database, request)


@pytest.fixture(params=WAYS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[Home]":
    """A new home, reached in one of four ways."""
    from tidegate.testing.workspaces import Home

    way, _, database = request.param.partition("-")
    made = Home(tmp_path / "home", way, catalog_on(database, request))
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
