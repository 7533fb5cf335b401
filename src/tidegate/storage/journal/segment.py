"""A segment as its owner holds it: an open file, its lock, and what has been written and synced."""

import contextlib
import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tidegate.kernel.errors import Unavailable
from tidegate.kernel.ids import random_id
from tidegate.storage.journal import frames

SUFFIX = ".seg"
NEW_SUFFIX = ".new"
DAMAGED_SUFFIX = ".damaged"
_sync_data = getattr(os, "fdatasync", os.fsync)


def segment_path(folder: Path, segment: str) -> Path:
    """The file of a segment."""
    return folder / f"{segment}{SUFFIX}"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def take_lock(path: Path) -> int | None:
    """Open a segment file and take its lock; None when another holds it, or the file is gone.

    The lock belongs to the open file, so it ends with the process at the latest. Close the returned descriptor to
    give it back.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino == path.stat().st_ino:
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None


class OwnedSegment:
    """The segment that a writer appends to. Not thread-safe: the writer's lock guards it.

    Created under another name and renamed once it is locked and has its header, so that nobody ever sees a segment
    without owner and header. Raises OSError; `append` leaves nothing of a failed write behind.
    """

    def __init__(self, folder: Path, segment: str, writer: int, opened_at: datetime) -> None:
        self.segment = segment
        self.folder = folder
        self.synced = 0
        self.named_durably = False
        header = frames.pack_header(segment, writer, opened_at, random_id())
        self._seed = int.from_bytes(header[-4:], "little")
        self._codes: dict[str, int] = {}
        self._next = 0
        self._torn = False
        new = folder / f"{segment}{NEW_SUFFIX}"
        self.fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(self.fd, header) != len(header):
                raise Unavailable(f"no room for a new journal segment in {folder}: free some space there")
            Path(new).rename(segment_path(folder, segment))
        except BaseException:
            os.close(self.fd)
            with contextlib.suppress(OSError):
                Path(new).unlink()
            raise
        self.size = len(header)

    def append(self, topic: str, payload: bytes) -> int:
        """Write one record; its number."""
        code = self._codes.get(topic)
        if code is None:
            return self.append_many(topic, (payload,))
        number = self._next
        self._next = number + 1
        self._write(frames.pack_frame(code, number, payload, self._seed))
        return number

    def append_many(self, topic: str, payloads: Sequence[bytes]) -> int:
        """Write records with one call to the system; the number of the first."""
        number = self._next
        code = self._codes.get(topic)
        declaration = b""
        if code is None:
            code = len(self._codes) + 1
            declaration = frames.pack_declaration(code, topic, number, self._seed)
        # Numbers of a failed write are never given out again: a reader may have seen them in the meantime.
        self._next = number + len(payloads)
        self._write(declaration + frames.pack_frames(code, number, payloads, self._seed))
        self._codes[topic] = code
        return number

    def sync(self, size: int) -> None:
        """Make the first `size` bytes durable, and the file's name with the first call."""
        _sync_data(self.fd)
        if not self.named_durably:
            sync_folder(self.folder)
            self.named_durably = True
        self.synced = size

    def close(self) -> None:
        """Give the lock back: from now on the segment may be sealed."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _write(self, data: bytes) -> None:
        if self._torn:
            self._mend()
        self._torn = True  # stays so when anything interrupts the lines below
        try:
            done = os.write(self.fd, data)
            while done < len(data):
                done += os.write(self.fd, memoryview(data)[done:])
        except OSError:
            with contextlib.suppress(OSError):
                self._mend()
            raise
        self.size += len(data)
        self._torn = False

    def _mend(self) -> None:
        os.ftruncate(self.fd, self.size)
        self._torn = False
