"""The catalog on a PostgreSQL that dies under load, and comes back."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.contract.storage.catalog_home import make_tables, put, values
from tests.integration.storage.catalog_children import Child, child, written
from tests.postgres import Databases
from tidegate.kernel.errors import Unavailable
from tidegate.storage.catalog import Catalog, open_catalog


@pytest.fixture
def server() -> Iterator[Databases]:
    """A server that may be killed."""
    with Databases() as server:
        yield server


@pytest.fixture
def address(server: Databases) -> str:
    return server.new()


@pytest.fixture
def catalog(address: str, tmp_path: Path) -> Iterator[Catalog]:
    catalog = open_catalog(address, tmp_path)
    make_tables(catalog)
    yield catalog
    catalog.close()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def backends(server: Databases) -> list[int]:
    """The processes of other sessions' backends that are writing, as soon as there are any."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
        "AND query ~ 'COMMIT|INSERT|^BEGIN$|SET LOCAL'"
    )
    found: list[int] = []

    def writing() -> bool:  # a moment may show none: each may be reading, or be on its way back after the last kill
        found[:] = [pid for (pid,) in connection.execute(query)]
        return bool(found)

    with psycopg.connect(server.uri, autocommit=True) as connection:
        wait_until(writing)
    return found


def go_on(children: list[Child], much: int) -> None:
    """Wait until each process has had this much more acknowledged."""
    targets = [len(one.said("written")) + much for one in children]
    wait_until(lambda: all(len(one.said("written")) >= far for one, far in zip(children, targets, strict=True)))


def assert_nothing_lost_nor_doubled(children: list[Child], catalog: Catalog) -> None:
    promised = {pair for one in children for pair in one.said("written")}
    failed = {pair for one in children for pair in one.said("failed")}
    there = Counter(written(catalog))
    assert promised <= set(there), sorted(promised - set(there))[:5]
    assert not failed & set(there), "said to have changed nothing, and is there"
    assert set(there.values()) == {1}, [pair for pair, times in there.items() if times > 1][:5]


def test_law_7_killed_backends_lose_and_double_nothing(server: Databases, address: str, catalog: Catalog) -> None:
    folder = Path("/nowhere")
    with ExitStack() as stack:
        children = [
            stack.enter_context(child("load", folder, address, f"w{number}", threads))
            for number, threads in enumerate(("1", "4", "4"))
        ]
        go_on(children, 50)
        for round_ in range(5):
            found = backends(server)
            os.kill(found[round_ % len(found)], signal.SIGKILL)
            go_on(children, 30)
        for one in children:
            one.tell()
        for one in children:
            one.drained()
            assert one.process.returncode == 0
    assert_nothing_lost_nor_doubled(children, catalog)
    unknown = [pair for one in children for pair in one.said("unknown")]
    assert not unknown, "the server could be asked"
    assert catalog.write(put(catalog, "after")) == 0  # this process slept through it all
    assert values(catalog) == {"after": 0}


def test_law_1_and_7_a_killed_server_loses_and_doubles_nothing(
    server: Databases, address: str, catalog: Catalog
) -> None:
    assert values(catalog) == {}  # leaves idle connections behind, which die with the server
    with ExitStack() as stack:
        children = [
            stack.enter_context(child("load", Path("/nowhere"), address, f"w{number}", "4")) for number in range(2)
        ]
        go_on(children, 50)
        for _ in range(2):
            server.crash()
            time.sleep(0.3)
            server.restart()
            go_on(children, 30)
        for one in children:
            one.tell()
        for one in children:
            one.drained()
            assert one.process.returncode == 0
    assert_nothing_lost_nor_doubled(children, catalog)
    assert catalog.write(put(catalog, "after")) == 0
    assert values(catalog) == {"after": 0}


def test_law_1_a_killed_client_loses_nothing_on_postgresql(address: str, catalog: Catalog) -> None:
    with child("load", Path("/nowhere"), address, "w", "4") as writer:
        go_on([writer], 100)
        os.kill(writer.process.pid, signal.SIGKILL)
        writer.drained()
    assert_nothing_lost_nor_doubled([writer], catalog)
    assert catalog.write(put(catalog, "after")) == 0


def test_reads_go_on_after_the_server_was_killed_while_they_were_idle(server: Databases, catalog: Catalog) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(6) as pool:  # fill the pool of readers
        list(pool.map(lambda _: [values(catalog) for _ in range(20)], range(6)))
    assert catalog.pulse() is not None
    server.crash()
    server.restart()
    wait_until(lambda: reads(catalog), seconds=20)  # a backend of the old server may die in the middle of one
    assert catalog.write(put(catalog, "n")) == 0
    assert values(catalog) == {"n": 0}


def reads(catalog: Catalog) -> bool:
    try:
        return values(catalog) == {}
    except Unavailable:
        return False


def test_processes_that_make_one_home_at_once_all_succeed_on_postgresql(server: Databases, tmp_path: Path) -> None:
    address = server.new()
    with ExitStack() as stack:
        children = [stack.enter_context(child("create", tmp_path, address)) for _ in range(4)]
        wait_until(lambda: all(one.lines for one in children))
        for one in children:
            one.tell()
        for one in children:
            assert one.drained() == [["ready"], ["opened"]]
            assert one.process.returncode == 0
