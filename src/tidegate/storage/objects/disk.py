"""What a folder of objects asks of its file system: durable names, errors that teach, files nobody sees yet."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tidegate.kernel.errors import Unavailable
from tidegate.kernel.ids import random_id

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BUFFER = 256 * 1024
_READ_ONLY = 0o444
SUFFIX = ".part"
"""How the names of parts end."""


class Part:
    """A file that is being written and that nobody sees before it is placed.

    Its writer holds a lock on it, which dies with the process: so a sweep knows the leftovers of the dead.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{random_id()}{SUFFIX}"
        with disk_errors(f"cannot begin an object in {folder}"):
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _READ_ONLY)
            self._file = os.fdopen(descriptor, "wb", _BUFFER)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, piece: bytes | memoryview) -> None:
        """Append. Raises `Unavailable` when the disk is full."""
        with disk_errors(f"cannot write {self.path}"):
            self._file.write(piece)

    def sync(self) -> None:
        """Bring everything written to the disk."""
        with disk_errors(f"cannot write {self.path}"):
            self._file.flush()
            os.fsync(self._file.fileno())

    def place(self, target: Path) -> None:
        """Give the file its name, in one step, over whatever is there."""
        with disk_errors(f"cannot place {target}"):
            self._file.flush()
            self.path.replace(target)
            self._file.close()

    def discard(self) -> None:
        """Remove the file, unless it has been placed."""
        if self._file.closed:
            return
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        # Closing flushes what a full disk would not take; the file is gone, and so is the interest in it.
        with suppress(OSError):
            self._file.close()


def sweep_parts(folder: Path, before: float) -> int:
    """Remove parts last written before this Unix time whose writers are dead; how many that were."""
    swept = 0
    for path in folder.glob(f"*{SUFFIX}"):
        # A part may be placed or removed at any moment: then it is no leftover.
        with disk_errors(f"cannot sweep {path}"), suppress(FileNotFoundError, BlockingIOError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_mtime < before:
                    path.unlink()
                    swept += 1
            finally:
                os.close(descriptor)
    return swept


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, each so that it survives a loss of power."""
    with disk_errors(f"cannot make the folder {folder}"):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            sync_folder(path.parent)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file", str(folder))


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn what the system refuses into `Unavailable`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable(f"disk full: {what}; nothing was stored: make room, then try again") from error
        raise Unavailable(f"{what}: {error.strerror or error}") from error
