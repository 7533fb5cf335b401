"""Objects in a folder: written beside, synced, then renamed into place."""

import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from tidegate.kernel.clock import MachineClock, SystemClock
from tidegate.kernel.errors import Invalid, NotFound, Unavailable
from tidegate.kernel.objects import Digest, ObjectInfo, parse_digest, parse_range
from tidegate.storage.objects.disk import Part, disk_errors, make_folder, sweep_parts, sync_folder
from tidegate.storage.objects.fingerprint import (
    Fingerprint,
    check_expected,
    check_intact,
    digest_of,
    fingerprint_of,
    parse_expected,
    parse_prefix,
    pieces_of,
)
from tidegate.storage.objects.sums import SMALL, read_sums, sums_path, write_sums

_PIECE = 1024 * 1024
_FAN_OUT = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"[0-9a-f]{62}")


class FolderObjects:
    """An `ObjectStore` in a folder, shared by any number of threads and processes of one machine.

    The object `abcd…` is the read-only file `ab/cd…`; `temporary/` holds what is being written.
    """

    def __init__(self, folder: str | Path, *, clock: MachineClock | None = None) -> None:
        self.folder = Path(folder).absolute()
        self._clock = clock or SystemClock()
        self._temporary = self.folder / "temporary"
        self._durable: set[Path] = set()
        make_folder(self._temporary)

    def put(self, data: bytes | Iterable[bytes], *, expect: str | None = None) -> ObjectInfo:
        """Store the bytes durably and return how they are named. Raises `Unavailable` when the disk is full."""
        expected = parse_expected(expect)
        if isinstance(data, bytes):
            digest = digest_of(data)
            check_expected(digest, expected, len(data))
            # SHA-256 is the slow one, so bytes that are there already are not put through it again.
            if self._renew(digest, len(data)):
                return self.stat(digest)
            info = fingerprint_of(data)
            with self._part() as part:
                part.write(data)
                self._place(part, info)
            return info
        with self._part() as part:
            fingerprint = Fingerprint()
            for piece in pieces_of(data):
                part.write(piece)
                fingerprint.update(piece)
            info = fingerprint.info()
            check_expected(info.digest, expected, info.size)
            if not self._renew(info.digest, info.size):
                self._place(part, info)
        return info

    def get(self, digest: str) -> bytes:
        """The whole object, verified."""
        name = parse_digest(digest)
        with self._reading(name):
            data = self._path(name).read_bytes()
        check_intact(name, digest_of(data), str(self.folder))
        return data

    def stream(self, digest: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object from byte `start`, in pieces of at most a mebibyte; verified when it is the whole."""
        name = parse_digest(digest)
        with self._reading(name):
            file = self._path(name).open("rb", buffering=0)
        try:
            size = os.fstat(file.fileno()).st_size
            first, end = parse_range(size, start, length, f"object {name}")
            file.seek(first)
        except BaseException:
            file.close()
            raise
        pieces = self._pieces(file, name, end - first, whole=first == 0 and end == size)
        # Its first step hands over nothing: from here on the generator closes the file, whatever becomes of it.
        next(pieces)
        return pieces

    def stat(self, digest: str) -> ObjectInfo:
        """Size and SHA-256; the object is read only if it is small or the line that says so was lost."""
        name = parse_digest(digest)
        path = self._path(name)
        with self._reading(name):
            size = path.stat().st_size
        if size <= SMALL:
            return fingerprint_of(self.get(name))
        info = read_sums(name, path, size)
        if info is None:
            info = fingerprint_of(self.stream(name))
            # What is asked for is known; that it cannot be kept, on a full or a read-only disk, does no harm.
            with suppress(Unavailable):
                write_sums(info, path, self._temporary)
        return info

    def exists(self, digest: str) -> bool:
        """Whether the object is there."""
        return self._path(parse_digest(digest)).is_file()

    def local_path(self, digest: str) -> Path | None:
        """The object's file, to be read in place. Nothing is verified."""
        path = self._path(parse_digest(digest))
        if not path.is_file():
            raise self._absent(digest)
        return path

    def list(self, prefix: str = "", *, untouched_for: float = 0.0) -> Iterator[Digest]:
        """The digests that begin with `prefix`, last put `untouched_for` seconds ago or earlier."""
        start = parse_prefix(prefix)
        return self._listed(start, self._before(untouched_for) if untouched_for else None)

    def delete(self, digest: str) -> None:
        """Remove the object, if it is there."""
        path = self._path(parse_digest(digest))
        # Not synced: a deletion that a loss of power undoes is done again by whoever collects.
        with disk_errors(f"cannot delete object {digest} in {self.folder}"):
            path.unlink(missing_ok=True)
            sums_path(path).unlink(missing_ok=True)

    def sweep_temporary(self, older_than_seconds: float = 3600.0) -> int:
        """Remove what dead processes left half-written that long ago; how many files that were."""
        return sweep_parts(self._temporary, self._before(older_than_seconds))

    def _renew(self, digest: Digest, size: int) -> bool:
        """Whether an intact copy is there, which is then young again and durable."""
        path = self._path(digest)
        with disk_errors(f"cannot renew {path}"):
            try:
                if path.stat().st_size != size or not _intact(path, digest):
                    return False
                os.utime(path)
            except (FileNotFoundError, PermissionError):
                return False
            # Whoever put it may not have come to this yet, and we promise as much as they.
            sync_folder(path.parent)
        return True

    @contextmanager
    def _part(self) -> Iterator[Part]:
        part = Part(self._temporary)
        try:
            yield part
        finally:
            part.discard()

    def _place(self, part: Part, info: ObjectInfo) -> None:
        path = self._path(info.digest)
        part.sync()
        self._make_fan_out(path.parent)
        if info.size > SMALL:
            write_sums(info, path, self._temporary)
        part.place(path)
        with disk_errors(f"cannot make {path} durable"):
            sync_folder(path.parent)

    def _make_fan_out(self, folder: Path) -> None:
        # One that another process has made may not be on the disk yet, so each process syncs each of them once.
        if folder not in self._durable or not folder.is_dir():
            with disk_errors(f"cannot make the folder {folder}"):
                folder.mkdir(exist_ok=True)
                sync_folder(self.folder)
            self._durable.add(folder)

    def _pieces(self, file: BinaryIO, digest: Digest, left: int, *, whole: bool) -> Generator[bytes]:
        with file:
            if whole and left == 0:
                check_intact(digest, digest_of(b""), str(self.folder))
            yield b""
            found = blake3() if whole else None
            while left > 0:
                with disk_errors(f"cannot read object {digest} in {self.folder}"):
                    piece = file.read(min(_PIECE, left))
                if not piece:
                    raise Unavailable(f"object {digest} in {self.folder} was cut while it was read")
                left -= len(piece)
                if found is not None:
                    found.update(piece)
                    if left == 0:
                        check_intact(digest, found.hexdigest(), str(self.folder))
                yield piece

    def _listed(self, prefix: str, before: float | None) -> Iterator[Digest]:
        with disk_errors(f"cannot list {self.folder}"):
            for fan_out in sorted(self.folder.iterdir()):
                if not _FAN_OUT.fullmatch(fan_out.name) or not _agree(fan_out.name, prefix):
                    continue
                for entry in os.scandir(fan_out):
                    name = fan_out.name + entry.name
                    if _NAME.fullmatch(entry.name) and name.startswith(prefix) and _untouched(entry, before):
                        yield Digest(name)

    @contextmanager
    def _reading(self, digest: Digest) -> Iterator[None]:
        with disk_errors(f"cannot read object {digest} in {self.folder}"):
            try:
                yield
            except FileNotFoundError as error:
                raise self._absent(digest) from error

    def _absent(self, digest: str) -> NotFound:
        return NotFound(f"there is no object {digest} in {self.folder}", digest=digest)

    def _path(self, digest: Digest) -> Path:
        return Path(f"{self.folder}/{digest[:2]}/{digest[2:]}")

    def _before(self, seconds: float) -> float:
        if not seconds >= 0:
            raise Invalid(f"an age is 0 seconds or more, not {seconds}")
        return self._clock.wall().timestamp() - seconds


def _intact(path: Path, digest: Digest) -> bool:
    with path.open("rb", buffering=0) as file:
        found = blake3()
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest() == digest


def _agree(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


def _untouched(entry: os.DirEntry[str], before: float | None) -> bool:
    try:
        return entry.is_file() and (before is None or entry.stat().st_mtime <= before)
    except FileNotFoundError:
        return False
