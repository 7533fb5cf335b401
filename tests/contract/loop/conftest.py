"""The catalog on each database; a home whose model is trained anew."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import WAYS
from tests.contract.storage.catalog_home import catalog, catalog_home, replica

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home

__all__ = ["catalog", "catalog_home", "replica"]


@pytest.fixture(params=WAYS)
def learning(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[Home]":
    """A new `learning_home`, reached in one of four ways."""
    from tests.contract.loop.retraining_home import learning_home

    way, _, database = request.param.partition("-")
    made = learning_home(
        tmp_path / "home", way, request.getfixturevalue("databases").with_catalog() if database == "postgres" else ""
    )
    yield made
    made.close()
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
