"""The catalog on each database; a home whose model is trained anew."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import WAYS
from tests.contract.storage.catalog_home import catalog, catalog_home, replica

if TYPE_CHECKING:
    from tests.contract.loop.retraining_home import LearningHomes
    from tidegate.testing.workspaces import Home

__all__ = ["catalog", "catalog_home", "replica"]


@pytest.fixture(scope="session")
def learning_homes(tmp_path_factory: pytest.TempPathFactory) -> "LearningHomes":
    """Makes homes whose model is trained anew."""
    from tests.contract.loop.retraining_home import LearningHomes

    return LearningHomes(tmp_path_factory.mktemp("learning"))


@pytest.fixture(params=WAYS)
def learning(request: pytest.FixtureRequest, learning_homes: "LearningHomes", tmp_path: Path) -> "Iterator[Home]":
    """A new one, reached in one of four ways."""
    way, _, database = request.param.partition("-")
    databases = request.getfixturevalue("databases") if database == "postgres" else None
    made = learning_homes.new(tmp_path / "home", way, databases)
    yield made
    made.close()
    if databases:
        databases.drop(made.settings.catalog)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
