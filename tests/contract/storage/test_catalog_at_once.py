"""Law 9 of the catalog: a write that waits for nobody, and what becomes of those who wait for it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.contract.storage.catalog_home import CatalogHome, add_one, put, values, wait_until
from tidegate.storage.catalog import Catalog


def may_seize(catalog: Catalog) -> bool:
    """Whether the turn can be taken ahead at all."""
    return catalog.dialect == "sqlite"


@contextmanager
def writing(catalog: Catalog) -> Iterator[None]:
    """Another thread is in the middle of a write as long as the block runs."""
    entered, release = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        assert release.wait(20)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(catalog.write, work)
        assert entered.wait(20)
        try:
            yield
            assert not slow.done()
        finally:
            release.set()
        slow.result(20)


def test_law_9_the_first_write_of_the_block_waits_for_nobody(catalog: Catalog, replica: Catalog) -> None:
    with catalog.at_once() as taken:
        assert taken is may_seize(catalog)
        assert catalog.write(put(catalog, "first", 1), durable=False) == 1
        assert values(replica) == {"first": 1}, "committed before the block ends"
        assert catalog.write(put(catalog, "second", 2)) == 2, "as outside"
    assert replica.write(put(replica, "third", 3)) == 3
    assert catalog.write(put(catalog, "fourth", 4)) == 4
    assert values(replica) == {"first": 1, "second": 2, "third": 3, "fourth": 4}


def test_law_9_it_is_not_taken_while_somebody_writes(catalog: Catalog, replica: Catalog) -> None:
    for busy in (catalog, replica):
        with writing(busy), catalog.at_once() as taken:
            assert not taken
        with catalog.at_once() as taken:
            assert taken is may_seize(catalog)


@pytest.mark.parametrize("writes", [True, False])
def test_law_9_whoever_comes_meanwhile_is_served(catalog: Catalog, replica: Catalog, *, writes: bool) -> None:
    with ThreadPoolExecutor(4) as pool:
        with catalog.at_once() as taken:
            mine = [pool.submit(catalog.write, put(catalog, f"mine{number}", number)) for number in range(2)]
            theirs = pool.submit(replica.write, put(replica, "theirs", 9))
            if taken:
                wait_until(lambda: len(catalog._line) == 2)
                assert not theirs.done()
            if writes:
                assert catalog.write(put(catalog, "first", 5)) == 5
        assert [each.result(20) for each in mine] == [0, 1]
        assert theirs.result(20) == 9
    there = {"mine0": 0, "mine1": 1, "theirs": 9} | ({"first": 5} if writes else {})
    assert values(catalog) == there


def test_law_9_a_block_that_fails_gives_the_turn_back(catalog: Catalog, replica: Catalog) -> None:
    with pytest.raises(ValueError, match="before"), catalog.at_once():
        raise ValueError("before")
    assert replica.write(put(replica, "theirs")) == 0

    def fail() -> None:
        put(catalog, "half")()
        raise ValueError("within")

    with pytest.raises(ValueError, match="within"), catalog.at_once():
        catalog.write(fail)
    assert replica.write(add_one(replica, "theirs")) == 1
    assert catalog.write(add_one(catalog, "theirs")) == 2
    assert values(catalog) == {"theirs": 2}


def test_law_9_only_the_block_itself_has_the_turn(catalog: Catalog, catalog_home: CatalogHome) -> None:
    """Neither another catalog that is used inside the block, nor another thread."""
    other = catalog_home.open()
    with ThreadPoolExecutor(2) as pool, catalog.at_once() as taken:
        with other.at_once() as also:
            assert not (taken and also)
        if not taken:
            return
        waiting = pool.submit(catalog.write, put(catalog, "thread"))
        wait_until(lambda: len(catalog._line) == 1)
        assert not waiting.done()
    assert values(catalog) == {"thread": 0}
