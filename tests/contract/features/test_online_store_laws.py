"""The numbered laws of the online store, on its SQLite form."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.features.pushing_process import PAIR
from tidegate.features.online import Key
from tidegate.features.online_sqlite import SqliteOnlineStore
from tidegate.kernel.errors import Invalid, Unavailable

ONE, TWO = PAIR


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "online.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteOnlineStore]:
    made = SqliteOnlineStore(path)
    yield made
    made.close()


def count_up(_key: Key, old: bytes | None) -> bytes:
    return str(int(old or b"0") + 1).encode()


def test_law_1_an_update_is_whole_when_its_process_is_killed(store: SqliteOnlineStore, path: Path) -> None:
    arguments = [sys.executable, "-m", "tests.contract.features.pushing_process", str(path)]
    told = -1
    for _ in range(3):
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(20):
            told = int(child.stdout.readline())
        child.kill()
        rest = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        told = int(rest[-1]) if rest else told
        kept = store.read(PAIR)
        assert kept[ONE] == kept[TWO], "both or none"
        assert int(kept[ONE]) >= told, "what was told is kept"
        store.update(PAIR, lambda _key, _old: b"-1")


def test_law_1_an_update_that_fails_changes_nothing(store: SqliteOnlineStore) -> None:
    def refuse(key: Key, _old: bytes | None) -> bytes:
        if key == TWO:
            raise Invalid("not this one")
        return b"new"

    store.update(PAIR, count_up)
    with pytest.raises(Invalid, match="not this one"):
        store.update(PAIR, refuse)
    assert store.read(PAIR) == {ONE: b"1", TWO: b"1"}


def test_law_2_nobody_writes_in_between(store: SqliteOnlineStore, path: Path) -> None:
    def work() -> None:
        mine = SqliteOnlineStore(path)
        for _ in range(50):
            mine.update([ONE], count_up)
        mine.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read([ONE]) == {ONE: b"200"}


def test_law_3_the_next_read_of_everybody_sees_it(store: SqliteOnlineStore, path: Path) -> None:
    other = SqliteOnlineStore(path)
    assert other.news(0) is None
    updated = store.update(PAIR, count_up)
    assert updated.keys == list(PAIR)
    first = other.news(0)
    assert first is not None
    assert first.mark == updated.mark == store.update(PAIR, lambda _key, old: old or b"").mark
    assert (sorted(first.keys), other.read(PAIR)) == (sorted(PAIR), {ONE: b"1", TWO: b"1"})
    assert other.news(first.mark) is None
    assert store.update(PAIR, lambda key, old: b"2" if key == TWO else old or b"").keys == [TWO]
    second = other.news(first.mark)
    assert second is not None
    assert second.mark == first.mark + 1
    assert second.keys == [TWO]
    assert sorted((other.news(0) or second).keys) == sorted(PAIR), "whoever asks from the beginning is told all"
    other.close()


def test_law_4_reading_makes_nothing(store: SqliteOnlineStore, path: Path) -> None:
    assert store.read(PAIR) == {}
    assert store.news(0) is None
    assert list(path.parent.iterdir()) == []


def test_a_file_that_is_no_store_is_unavailable(store: SqliteOnlineStore, path: Path) -> None:
    path.write_bytes(b"anything but a database" * 100)
    with pytest.raises(Unavailable, match="does not answer"):
        store.read(PAIR)
