"""The catalog on SQLite among real processes: killed writers, four at once, a full disk."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.contract.storage.catalog_home import counters, make_tables, put, sequence, values
from tests.integration.storage.catalog_children import Child, child, written
from tidegate.kernel.errors import Unavailable
from tidegate.storage.catalog import Catalog, open_catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = open_catalog("", tmp_path)
    make_tables(catalog)
    yield catalog
    catalog.close()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def has_written(writer: Child, much: int) -> bool:
    return len(writer.said("written")) > much


def have_said(children: list[Child], lines: int) -> bool:
    return all(len(one.lines) >= lines for one in children)


def test_law_1_a_killed_writer_loses_nothing_that_was_acknowledged(catalog: Catalog, tmp_path: Path) -> None:
    promised: set[tuple[str, int]] = set()
    for round_ in range(3):
        with child("load", tmp_path, "", f"w{round_}", "8") as writer:
            wait_until(partial(has_written, writer, 200 * (round_ + 1)))
            os.kill(writer.process.pid, signal.SIGKILL)
            writer.drained()
        promised |= set(writer.said("written"))
        there = Counter(written(catalog))
        assert promised <= set(there)
        assert set(there.values()) == {1}
        assert catalog.write(put(catalog, f"after{round_}")) == 0  # the lock of the dead is free
    extra = set(written(catalog)) - promised
    assert len(extra) <= 3 * 8  # at most what each thread was waiting for
    with contextlib.closing(sqlite3.connect(tmp_path / "catalog.db")) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_law_5_four_processes_lose_no_update_and_none_starves(catalog: Catalog, tmp_path: Path) -> None:
    least, most = 200, 900
    catalog.write(put(catalog, "shared"))
    counts: Counter[str] = Counter()
    at_the_end: dict[str, int] = {}
    enough, lock = threading.Event(), threading.Lock()

    def heard(words: list[str]) -> None:
        if words[0] != "counted":
            return
        with lock:
            counts[words[1]] += 1
            if counts[words[1]] >= most and not enough.is_set():
                at_the_end.update(counts)
                enough.set()

    with ExitStack() as stack:
        children = [stack.enter_context(child("count", tmp_path, "", f"p{number}", heard=heard)) for number in range(4)]
        wait_until(lambda: all(one.lines for one in children))
        for one in children:
            one.tell()
        assert enough.wait(90)
        for one in children:
            one.tell()
        for one in children:
            one.drained()
        assert [one.process.returncode for one in children] == [0] * 4
    assert len(at_the_end) == 4
    assert min(at_the_end.values()) >= least, at_the_end
    seen = sorted(value for one in children for _, value in one.said("counted"))
    assert seen == list(range(1, len(seen) + 1))
    assert values(catalog) == {"shared": len(seen)}


def test_processes_that_make_one_home_at_once_all_succeed(tmp_path: Path) -> None:
    homes = [tmp_path / f"home{round_}" for round_ in range(3)]
    for home in homes:
        home.mkdir()
    with ExitStack() as stack:
        children = [stack.enter_context(child("create", homes[0], "", *map(str, homes[1:]))) for _ in range(4)]
        for round_ in range(3):
            wait_until(partial(have_said, children, 2 * round_ + 1))
            for one in children:
                one.tell()
        for one in children:
            assert one.drained() == [["ready"], ["opened"]] * 3
            assert one.process.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_law_2_on_a_full_disk_nothing_is_half_written_and_there_is_a_way_back(small_disk: Path) -> None:
    catalog = open_catalog("", small_disk)
    make_tables(catalog)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 500_000)
    rows = 0

    def pair() -> None:
        """Two tables, both or none."""
        with catalog.connect() as connection:
            connection.execute(counters.insert(), {"name": f"n{rows}", "value": rows})
            padding = [{"writer": "x" * 60, "number": rows} for _ in range(50)]
            connection.execute(sequence.insert(), padding)

    with contextlib.suppress(Unavailable):
        while rows < 5000:
            catalog.write(pair)
            rows += 1
    assert 10 < rows < 5000
    for _ in range(3):
        with pytest.raises(Unavailable, match="disk of the catalog is full"):
            catalog.write(pair)
    assert consistent(catalog) == rows
    ballast.unlink()
    catalog.write(pair)
    assert consistent(catalog) == rows + 1
    catalog.close()
    reopened = open_catalog("", small_disk)
    assert consistent(reopened) == rows + 1
    reopened.close()


def consistent(catalog: Catalog) -> int:
    """How many pairs there are; none of them half."""
    with catalog.connect() as connection:
        first = connection.execute(sa.select(sa.func.count()).select_from(counters)).scalar_one()
        second = connection.execute(sa.select(sa.func.count()).select_from(sequence)).scalar_one()
    assert second == 50 * first
    return int(first)


def test_a_group_on_a_full_disk_fails_as_one_and_says_so(small_disk: Path) -> None:
    catalog = open_catalog("", small_disk)
    make_tables(catalog)
    errors: list[BaseException] = []
    (small_disk / "ballast").write_bytes(b"x" * 1_500_000)

    def load(thread: int) -> None:
        def work() -> None:
            with catalog.connect() as connection:
                padding = [{"writer": f"{thread}" * 60, "number": 1} for _ in range(20)]
                connection.execute(sequence.insert(), padding)

        try:
            for _ in range(3000):
                catalog.write(work)
        except Unavailable as error:
            errors.append(error)

    threads = [threading.Thread(target=load, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(errors) == 4
    assert all("disk of the catalog is full" in str(error) for error in errors)
    there = Counter(writer for writer, _ in written(catalog))
    assert all(number % 20 == 0 for number in there.values())
    (small_disk / "ballast").unlink()
    assert catalog.write(put(catalog, "after")) == 0
    catalog.close()
