"""The one writer of a process: appends records to its own segment, at the durability that each caller asks for."""

import errno
import logging
import os
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from tidegate.kernel.clock import BusinessClock, MachineClock, SystemClock
from tidegate.kernel.errors import Invalid, TidegateError, Unavailable
from tidegate.kernel.ids import WRITERS, IdFactory
from tidegate.storage.journal.best_effort import BestEffortQueue
from tidegate.storage.journal.frames import MAX_PAYLOAD
from tidegate.storage.journal.group_commit import Flush, GroupCommit, Ticket
from tidegate.storage.journal.records import Position
from tidegate.storage.journal.segment import OwnedSegment, sync_folder

_log = logging.getLogger(__name__)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LARGEST_SEGMENT = 1 << 30
_ATTEMPTS = 5
_writers: "weakref.WeakSet[JournalWriter]" = weakref.WeakSet()


class JournalWriter:
    """Appends to a segment file that belongs to this process alone. Thread-safe; the laws stand in the package.

    `segment_bytes`: a new segment begins when the file has reached this size; sealing reads a whole one into memory.
    `segment_seconds`: or when it is this old (machine time), so that what comes slowly is sealed too.
    `sync_every`: seconds after which `acked` records are synced in the background.
    `queue_limit`: records that `append_best_effort` may hold back.
    """

    def __init__(
        self,
        folder: Path,
        *,
        writer: int,
        clock: BusinessClock,
        machine: MachineClock | None = None,
        segment_bytes: int = 64 << 20,
        segment_seconds: float | None = None,
        sync_every: float = 1.0,
        queue_limit: int = 10_000,
    ) -> None:
        if not 0 <= writer < WRITERS:
            raise Invalid(f"writer number {writer} is out of range: 0 to {WRITERS - 1}; allocate one from the index")
        if not 0 < segment_bytes <= _LARGEST_SEGMENT:
            raise Invalid(f"segment_bytes is {segment_bytes}; it must be above 0 and at most {_LARGEST_SEGMENT}")
        self._folder = folder
        self._clock = clock
        self._machine: MachineClock = machine or SystemClock()
        self._ids = IdFactory(clock, writer)
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._sync_every = sync_every
        self._lock = threading.Lock()
        self._commits = GroupCommit(self._lock, self._prepare)
        self._queue = BestEffortQueue(self.append_many, queue_limit)
        self._active: OwnedSegment | None = None
        self._opened = 0.0
        self._retired: list[OwnedSegment] = []
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._usable = True  # turned off in a forked child, and when closed
        self._closed = False
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
        _writers.add(self)

    @property
    def writer(self) -> int:
        """The number that stands in the header of every segment."""
        return self._ids.writer

    @property
    def segment(self) -> str | None:
        """The segment that is being written; None before the first record."""
        active = self._active
        return None if active is None else active.segment

    @property
    def dropped(self) -> int:
        """Best-effort records that were not kept."""
        return self._queue.dropped

    def append(self, topic: str, payload: bytes) -> Position:
        """Append one record (`acked`). Raises `Unavailable` when the disk is full, `Invalid` when it is too large."""
        if not self._usable or len(payload) > MAX_PAYLOAD:
            self._refuse()
        with self._lock:
            segment = self._writable()
            try:
                number = segment.append(topic, payload)
            except OSError as error:
                raise self._failed(segment, error) from error
        return Position(segment.segment, number)

    def append_many(self, topic: str, payloads: Sequence[bytes]) -> Position:
        """Append records with one write (`acked`); where the first stands, the others follow in the same segment."""
        with self._checked(payloads):
            return self._write(topic, payloads)

    def append_durable(self, topic: str, payloads: Sequence[bytes]) -> Position:
        """Append records and wait until they are synced, in one group with whoever else waits (`durable`).

        Raises `Unavailable` when the disk is full or the sync failed.
        """
        with self._checked(payloads):
            position = self._write(topic, payloads)
            ticket = self._commits.join()
        self._commits.wait(ticket)
        return position

    def commit_async(self, topic: str, payloads: Sequence[bytes]) -> "Future[Position]":
        """`append_durable` for an event loop: writes at once; the future ends when the records are synced.

        Await it with `asyncio.wrap_future`. Every failure arrives through the future.
        """
        future: Future[Position] = Future()
        try:
            with self._checked(payloads):
                position = self._write(topic, payloads)
                self._commits.join_later(future, position)
        except TidegateError as error:
            future.set_exception(error)
        else:
            self._wake.set()
        return future

    def append_best_effort(self, topic: str, payload: bytes) -> bool:
        """Queue one record without waiting; False when it was dropped, which `dropped` counts."""
        if not self._usable or len(payload) > MAX_PAYLOAD:
            self._refuse()
        return self._queue.offer(topic, payload)

    def sync(self) -> None:
        """Return when everything appended so far is durable. Raises `Unavailable` when that failed."""
        if not self._usable:
            self._refuse()
        with self._lock:
            ticket = self._commits.join()
        self._commits.wait(ticket)

    def roll(self) -> str | None:
        """End the segment and release it to be sealed; its id, None when nothing was written since the last."""
        if not self._usable:
            self._refuse()
        with self._lock:
            segment = self._retire()
            ticket = self._commits.join()
        self._commits.wait(ticket)
        return segment

    def close(self) -> None:
        """Write what is queued, sync, and release the segment. Closing twice does nothing."""
        if self._closed or not self._usable:
            return
        self._queue.close()
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._usable = False
            self._retire()
            ticket = self._commits.join()
        self._commits.wait(ticket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _checked(self, payloads: Sequence[bytes]) -> threading.Lock:
        """The lock, for a call that is allowed."""
        if not self._usable or not payloads or max(map(len, payloads)) > MAX_PAYLOAD:
            self._refuse()
        return self._lock

    def _write(self, topic: str, payloads: Sequence[bytes]) -> Position:
        segment = self._writable()
        try:
            number = segment.append(topic, payloads[0]) if len(payloads) == 1 else segment.append_many(topic, payloads)
            return Position(segment.segment, number)
        except OSError as error:
            raise self._failed(segment, error) from error

    def _writable(self) -> OwnedSegment:
        segment = self._active
        if segment is None or segment.size >= self._segment_bytes:
            return self._open()
        return segment

    def _open(self) -> OwnedSegment:
        """Begin a segment, and only then retire the one before: a full disk leaves things as they were."""
        if not self._usable:
            self._refuse()
        segment = self._create()
        if self._retire() is not None:
            self._wake.set()
        self._active = segment
        self._opened = self._machine.monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_synced, name="journal-sync", daemon=True)
            self._thread.start()
        return segment

    def _create(self) -> OwnedSegment:
        failure: OSError = FileNotFoundError()
        for _ in range(_ATTEMPTS):
            try:
                return OwnedSegment(self._folder, self._ids.new(), self.writer, self._clock.now())
            except (BlockingIOError, FileNotFoundError) as error:
                failure = error  # a recovery took the file for a leftover, in the instant before it was locked
            except OSError as error:
                raise self._unavailable(error) from error
        raise self._unavailable(failure) from failure

    def _retire(self) -> str | None:
        segment, self._active = self._active, None
        if segment is None:
            return None
        self._retired.append(segment)
        return segment.segment

    def _failed(self, segment: OwnedSegment, error: OSError) -> Unavailable:
        """A segment whose disk fails for another reason than want of room is written no more."""
        if error.errno not in _NO_ROOM and segment is self._active:
            self._retire()
        return self._unavailable(error)

    def _unavailable(self, error: OSError) -> Unavailable:
        if error.errno in _NO_ROOM:
            return Unavailable(
                f"the disk is full: the journal in {self._folder} takes no record; free some space there"
            )
        return Unavailable(f"the journal in {self._folder} cannot be written: {error}")

    def _refuse(self) -> NoReturn:
        if os.getpid() != self._process:
            raise Invalid(f"this journal writer belongs to process {self._process}; every process opens one of its own")
        if not self._usable:
            raise Invalid("this journal writer is closed; open another one")
        raise Invalid(f"a record takes up to {MAX_PAYLOAD} bytes, and an append at least one record")

    def _prepare(self) -> Flush:
        """Note, under the lock, what is to be synced, and which segments are to be released afterwards."""
        retired = list(self._retired)
        held = [*retired, self._active] if self._active is not None else retired
        unsynced = [(segment, segment.size) for segment in held if segment.size > segment.synced]

        def flush() -> None:
            try:
                for segment, size in unsynced:
                    self._sync_one(segment, size)
            finally:
                if retired:
                    self._release(retired)

        return flush

    def _release(self, retired: list[OwnedSegment]) -> None:
        with self._lock:
            for segment in retired:
                self._retired.remove(segment)
                segment.close()

    def _sync_one(self, segment: OwnedSegment, size: int) -> None:
        try:
            segment.sync(size)
        except OSError:
            # The kernel may have dropped the pages it could not write, so a second sync would prove nothing.
            with self._lock:
                if segment is self._active:
                    self._retire()
                segment.synced = _LARGEST_SEGMENT * 2
            raise

    def _keep_synced(self) -> None:
        while not self._closed:
            self._wake.wait(self._sync_every)
            self._wake.clear()
            ticket: Ticket | None = None
            with self._lock:
                active = self._active
                if active is not None and self._is_old():
                    self._retire()
                if self._retired or self._commits.has_futures or (active is not None and active.size > active.synced):
                    ticket = self._commits.join()
            if ticket is not None:
                try:
                    self._commits.wait(ticket)
                except Unavailable as error:
                    _log.error("journal in %s: %s", self._folder, error.message)

    def _is_old(self) -> bool:
        return self._segment_seconds is not None and self._machine.monotonic() - self._opened >= self._segment_seconds

    def _abandon(self) -> None:
        """In a forked child: drop the inherited files, so that they do not keep the parent's locks alive."""
        self._usable = False
        for segment in (*self._retired, self._active):
            if segment is not None:
                segment.close()


def _abandon_inherited() -> None:
    for writer in list(_writers):
        writer._abandon()


os.register_at_fork(after_in_child=_abandon_inherited)
