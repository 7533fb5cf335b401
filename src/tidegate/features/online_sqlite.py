"""The online store in a SQLite file of the home, in WAL: readers never wait, and writers queue on a lock file."""

import contextlib
import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from tidegate.features.online import Key, News, Updated
from tidegate.kernel.errors import Unavailable

_BUSY_MILLISECONDS: Final = 10_000
_AT_ONCE: Final = 400
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS entity (
    view TEXT NOT NULL, entity TEXT NOT NULL, sequence INTEGER NOT NULL, rows BLOB NOT NULL, PRIMARY KEY (view, entity)
);
CREATE INDEX IF NOT EXISTS ix_entity_sequence ON entity (sequence);
"""
_UPSERT: Final = """
INSERT INTO entity VALUES (?, ?, ?, ?)
ON CONFLICT (view, entity) DO UPDATE SET sequence = excluded.sequence, rows = excluded.rows
"""


class SqliteOnlineStore:
    """Keeps the laws of `OnlineStore`.

    Survives the death of every process; not every push survives a power failure.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._queue: BinaryIO | None = None
        self._version = self._newest = -1

    def update(self, keys: Iterable[Key], change: Callable[[Key, bytes | None], bytes]) -> Updated:
        """Replace what is kept under each key by what `change` makes of it, in one transaction."""
        with _available(self._path), self._turn():
            writer = self._writer = self._writer or self._open()
            writer.execute("BEGIN IMMEDIATE")
            try:
                (newest,) = writer.execute("SELECT coalesce(max(sequence), 0) FROM entity").fetchone()
                changed = []
                for key, old in _select(writer, keys):
                    new = change(key, old)
                    if new != old:
                        changed.append((*key, newest + 1, new))
                writer.executemany(_UPSERT, changed)
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise
        return Updated(newest + bool(changed), [(view, entity) for view, entity, _, _ in changed])

    def read(self, keys: Sequence[Key]) -> Mapping[Key, bytes]:
        """What is kept under these keys."""
        with self._lock, _available(self._path):
            reader = self._reading()
            return {} if reader is None else {key: rows for key, rows in _select(reader, keys) if rows is not None}

    def news(self, mark: int) -> News | None:
        """What changed since a mark; asks SQLite whether anybody wrote before it looks."""
        with self._lock, _available(self._path):
            reader = self._reading()
            if reader is None:
                return None
            (version,) = reader.execute("PRAGMA data_version").fetchone()
            if version != self._version:
                (self._newest,) = reader.execute("SELECT coalesce(max(sequence), 0) FROM entity").fetchone()
                self._version = version
            if mark >= self._newest:
                return None
            query = "SELECT view, entity, sequence FROM entity WHERE sequence > ?"
            rows = reader.execute(query, (mark,)).fetchall()
        if not rows:
            return None
        return News(max(row[2] for row in rows), [(row[0], row[1]) for row in rows])

    def close(self) -> None:
        """Release files."""
        for file in (self._reader, self._writer, self._queue):
            if file is not None:
                file.close()
        self._reader = self._writer = self._queue = None

    def _reading(self) -> sqlite3.Connection | None:
        if self._reader is None and self._path.exists():
            with self._turn():
                self._reader = self._open()
        return self._reader

    def _open(self) -> sqlite3.Connection:
        """Under the lock: SQLite does not let two processes switch to WAL at once, nor waits for the other."""
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(_TABLES)
        return connection

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Alone among the threads and processes that write."""
        with self._writing:
            if self._queue is None:
                self._queue = self._path.with_name(self._path.stem + ".lock").open("ab")
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._queue, fcntl.LOCK_UN)


def _select(connection: sqlite3.Connection, keys: Iterable[Key]) -> Iterator[tuple[Key, bytes | None]]:
    """What is kept under each key, of one view after the other."""
    entities: dict[str, list[str]] = {}
    for view, entity in keys:
        entities.setdefault(view, []).append(entity)
    for view, names in entities.items():
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT entity, rows FROM entity WHERE view = ? AND entity IN ({marks})"  # noqa: S608
            found = dict(connection.execute(query, (view, *some)))
            for entity in some:
                yield (view, entity), found.get(entity)


@contextlib.contextmanager
def _available(path: Path) -> Iterator[None]:
    """Every trouble of the file is one that may pass."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"the online store {path} does not answer: {error}; try again") from error
