"""A catalog for tests on each database, and a small table to write to."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.postgres import catalog_on
from tidegate.storage.catalog import Catalog, open_catalog
from tidegate.testing.catalogs import place_catalog

metadata = sa.MetaData()

counters = sa.Table(
    "test_counter",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)

sequence = sa.Table(
    "test_sequence",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("writer", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
)


class CatalogHome:
    """One home; each `open` is a replica of its own on it."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder
        self._opened: list[Catalog] = []

    def open(self) -> Catalog:
        """Another catalog on the same home, with the test's tables."""
        return self.adopt(open_catalog(self.address, self.folder))

    def adopt(self, catalog: Catalog) -> Catalog:
        """Close this one, too, at the end."""
        self._opened.append(catalog)
        return catalog

    def close(self) -> None:
        """Close them all."""
        for catalog in self._opened:
            catalog.close()


def make_tables(catalog: Catalog) -> None:
    """The test's own tables, where they are missing."""

    def work() -> None:
        with catalog.connect() as connection:
            metadata.create_all(connection)

    catalog.write(work)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CatalogHome]:
    """A new home on each database, with an empty catalog."""
    address = catalog_on(request.param, request)
    if not address:
        place_catalog(tmp_path)
    home = CatalogHome(address, tmp_path)
    yield home
    home.close()


@pytest.fixture
def catalog(catalog_home: CatalogHome) -> Catalog:
    """The catalog of a new home."""
    catalog = catalog_home.open()
    make_tables(catalog)
    return catalog


@pytest.fixture
def replica(catalog: Catalog, catalog_home: CatalogHome) -> Catalog:
    """A second catalog on the same home: what another process would see."""
    return catalog_home.open()


def put(catalog: Catalog, name: str, value: int = 0) -> Callable[[], int]:
    """A work that inserts a counter and answers its value."""

    def work() -> int:
        with catalog.connect() as connection:
            connection.execute(counters.insert(), {"name": name, "value": value})
        return value

    return work


def add_one(catalog: Catalog, name: str) -> Callable[[], int]:
    """A work that reads a counter, and writes it back greater by one."""

    def work() -> int:
        with catalog.connect() as connection:
            query = sa.select(counters.c.value).where(counters.c.name == name).with_for_update()
            value = int(connection.execute(query).scalar_one()) + 1
            connection.execute(counters.update().where(counters.c.name == name).values(value=value))
            return value

    return work


def values(catalog: Catalog) -> dict[str, int]:
    """Every counter."""
    with catalog.connect() as connection:
        return {row.name: row.value for row in connection.execute(sa.select(counters))}


def one_group(catalog: Catalog, works: list[Callable[[], Any]]) -> list[Future[Any]]:
    """Run the works in one group: they queue while another work holds the lead."""
    entered, release = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert release.wait(20)

    with ThreadPoolExecutor(len(works) + 1) as pool:
        leader = pool.submit(catalog.write, hold)
        assert entered.wait(20)
        futures = []
        for number, work in enumerate(works, 1):
            futures.append(pool.submit(catalog.write, work))
            wait_until(lambda number=number: len(catalog._line) >= number)  # type: ignore[misc]
        release.set()
        leader.result(20)
    return futures


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
