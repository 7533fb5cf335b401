"""Homes with a prediction log, with their catalog on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.predictions.logged_home import LoggedHome


@pytest.fixture
def logged(own_catalog: str, tmp_path: Path) -> Iterator[LoggedHome]:
    """A new home."""
    home = LoggedHome(tmp_path / "home", own_catalog)
    yield home
    home.close()
