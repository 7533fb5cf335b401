"""Reading the journal: segments that are still files record by record, sealed ones by their Parquet objects."""

import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tidegate.kernel.errors import Internal, Invalid
from tidegate.kernel.objects import ObjectPlane
from tidegate.storage.journal.bookmarks import APART, Bookmark, Bookmarks
from tidegate.storage.journal.frames import HEADER_BYTES, Frame, Header, read_frames, read_header
from tidegate.storage.journal.index import SegmentIndex
from tidegate.storage.journal.records import Cursor, Position, SealedSegment, SegmentInfo
from tidegate.storage.journal.segment import SUFFIX

_log = logging.getLogger(__name__)


class _OpenFile(NamedTuple):
    fd: int
    header: Header


class JournalReader:
    """Reads the segments of one folder, and what was sealed by anybody. Never writes, takes no lock. Thread-safe.

    Inside a transaction of the catalog that began earlier, sealing done since is not seen: read outside of one.
    """

    def __init__(self, folder: Path, index: SegmentIndex, objects: ObjectPlane) -> None:
        self._folder = folder
        self._index = index
        self._objects = objects
        self._bookmarks = Bookmarks()

    def snapshot(self) -> "JournalSnapshot":
        """Files and sealed segments such that each record is in exactly one of them. Close it (``with``)."""
        files = self._open_files()
        try:
            # The files first, then the head: what is sealed in between is in both, and then the index wins.
            head = self._index.head().sequence
            for row in self._index.parts_of(files):
                sealed = files.pop(row.segment, None) if row.sequence <= head else None
                if sealed is not None:
                    os.close(sealed.fd)
        except BaseException:
            for file in files.values():
                os.close(file.fd)
            raise
        self._bookmarks.forget_all_but(files)
        return JournalSnapshot(files, head, self._index, self._bookmarks)

    def extent(self) -> object:
        """A value that changes whenever anything is appended or sealed: one query and a look at each file."""
        return self._index.head().sequence, sorted(self._sizes())

    def segments(self) -> list[SegmentInfo]:
        """The segments that are still files, oldest first."""
        with self.snapshot() as snapshot:
            return snapshot.segments()

    def scan(self, topic: str, after: Cursor | None = None) -> Iterator[tuple[Position, bytes]]:
        """The records of a topic that are still in files. See `JournalSnapshot.scan`."""
        with self.snapshot() as snapshot:
            yield from snapshot.scan(topic, after)

    def sealed(
        self,
        topic: str,
        *,
        writer: int | None = None,
        holding: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: Cursor | None = None,
    ) -> list[SealedSegment]:
        """The sealed parts of a topic. Use a snapshot to read files and sealed parts as one."""
        rows = self._index.list(topic, writer=writer, holding=holding, since=since, until=until)
        return [row for row in rows if after is None or row.last_number > after.get(row.segment, -1)]

    def parquet(self, part: SealedSegment) -> Path | bytes:
        """What Polars reads a sealed part from: a file where there is one, else its bytes."""
        return self._objects.local_path(part.digest) or self._objects.get(part.digest)

    def check_intact(self, part: SealedSegment) -> None:
        """Raise `NotFound` or `Internal`, naming the object, where a sealed part is gone or damaged."""
        self._objects.get(part.digest)

    def _sizes(self) -> Iterator[tuple[str, int, int]]:
        try:
            entries = os.scandir(self._folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    try:
                        found = entry.stat()
                    except FileNotFoundError:
                        continue  # sealed since it was listed: the head has moved, or will
                    # The time too: what a failed append has left may be replaced by as many bytes.
                    yield entry.name, found.st_size, found.st_mtime_ns

    def _open_files(self) -> dict[str, _OpenFile]:
        files: dict[str, _OpenFile] = {}
        if not self._folder.is_dir():
            return files
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # sealed since it was listed: the index has it
            try:
                files[path.stem] = _OpenFile(fd, read_header(fd))
            except Internal as error:
                os.close(fd)
                _log.error("journal segment %s is left out: %s", path, error.message)
        return files


class JournalSnapshot:
    """The journal as it was opened: each record is either in one of its files or in a sealed part, never in both.

    What is appended to its files meanwhile is read too; what is sealed meanwhile is still read from its file.
    """

    def __init__(self, files: dict[str, _OpenFile], head: int, index: SegmentIndex, bookmarks: Bookmarks) -> None:
        self._files = files
        self._head = head
        self._index = index
        self._bookmarks = bookmarks
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def segments(self) -> list[SegmentInfo]:
        """The segments that are files here, oldest first."""
        self._check()
        return [
            SegmentInfo(
                segment=segment,
                writer=file.header.writer,
                opened_at=file.header.opened_at,
                size=os.fstat(file.fd).st_size,
            )
            for segment, file in self._files.items()
        ]

    def sealed(
        self,
        topic: str,
        *,
        writer: int | None = None,
        holding: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: Cursor | None = None,
    ) -> list[SealedSegment]:
        """The sealed parts of a topic, in the order of the chain, up to the head when this was opened.

        `writer` and `holding` (an id) find the one that a prediction is in; `since`, `until` (exclusive) those whose
        times may fall between; `after` leaves out parts without a record beyond the cursor: of the others, read the
        rows whose `_number` is greater than the cursor's.
        """
        self._check()
        rows = self._index.list(topic, writer=writer, holding=holding, since=since, until=until)
        return [
            row
            for row in rows
            if row.sequence <= self._head and (after is None or row.last_number > after.get(row.segment, -1))
        ]

    def scan(
        self, topic: str, after: Cursor | None = None, *, writer: int | None = None
    ) -> Iterator[tuple[Position, bytes]]:
        """The records of a topic beyond the cursor, file by file, in the order of their numbers.

        Each file is read up to its last whole record.
        """
        for segment, file in self._files.items():
            if writer is None or file.header.writer == writer:
                yield from self._scan_file(segment, file, topic, -1 if after is None else after.get(segment, -1))

    def close(self) -> None:
        """Close the files."""
        if not self._closed:
            self._closed = True
            for file in self._files.values():
                os.close(file.fd)

    def _scan_file(self, segment: str, file: _OpenFile, topic: str, after: int) -> Iterator[tuple[Position, bytes]]:
        self._check()
        key = segment, topic
        offset, topics, latest = self._start(key, file, after)
        frame: Frame | None = None
        kept = offset
        try:
            for frame in read_frames(file.fd, file.header.seed, topics, offset):
                name, number, payload, start, _ = frame
                if name == topic:
                    latest = number
                if start - kept >= APART:
                    kept = start
                    self._bookmarks.keep(key, Bookmark(latest, number, start, topics))
                if name == topic and number > after:
                    yield Position(segment, number), payload
                    self._check()
        finally:
            if frame is not None:
                self._bookmarks.keep(key, Bookmark(latest, frame.number, frame.start, topics))

    def _start(self, key: tuple[str, str], file: _OpenFile, after: int) -> tuple[int, dict[int, str], int]:
        """Where to begin: at a bookmark, if its record is still what it was, else at the first record."""
        mark = self._bookmarks.before(key, after)
        if mark is not None:
            topics = dict(mark.topics)
            frame = next(read_frames(file.fd, file.header.seed, topics, mark.offset), None)
            if frame is not None and frame.number == mark.number:
                return mark.offset, topics, mark.latest
            self._bookmarks.forget(key)
        return HEADER_BYTES, {}, -1

    def _check(self) -> None:
        if self._closed:
            raise Invalid("this snapshot of the journal is closed; open another one")
