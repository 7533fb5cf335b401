"""Homes with a prediction log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.predictions.logged_home import LoggedHome


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[LoggedHome]:
    """A new home on SQLite."""
    home = LoggedHome(tmp_path / "home")
    yield home
    home.close()
