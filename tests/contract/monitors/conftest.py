"""Homes whose windows are computed, with their catalog on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.predictions.logged_home import LoggedHome


@pytest.fixture(params=["sqlite", "postgres"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoggedHome]:
    """A new home."""
    address = request.getfixturevalue("databases").with_catalog() if request.param == "postgres" else ""
    home = LoggedHome(tmp_path / "home", address)
    yield home
    home.close()
