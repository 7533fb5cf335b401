"""What is known of an object in a folder without reading it: one short line in a file beside it.

The line only repeats what the object's bytes say, so it needs no fsync of its own, which would double the cost of a
small put: it is written before the object becomes visible, a check on it finds out one that a loss of power tore, and
such a line is written anew from the bytes. An extended attribute would be lost by tar, cp and tmpfs; a trailer in the
file would break reading Parquet in place. A small object has no such line: to read it is as quick, and a second file
would halve the rate of small puts.
"""

from pathlib import Path

from blake3 import blake3

from tidegate.kernel.objects import Digest, ObjectInfo
from tidegate.storage.objects.disk import Part, disk_errors

SMALL = 64 * 1024
"""Bytes up to which an object has no line of its own."""
SUFFIX = ".sums"
"""How the names of these files end."""


def sums_path(path: Path) -> Path:
    """Where the line of the object at this path is kept."""
    return path.with_name(path.name + SUFFIX)


def read_sums(digest: Digest, path: Path, size: int) -> ObjectInfo | None:
    """The line beside the object, or None when it is missing, torn, or of another size than the object has."""
    with disk_errors(f"cannot read {sums_path(path)}"):
        try:
            text = sums_path(path).read_text("ascii", errors="replace")
        except FileNotFoundError:
            return None
    sha256 = text.split(" ", 1)[0]
    info = ObjectInfo(digest, sha256, size)
    return info if text == _line(info) else None


def write_sums(info: ObjectInfo, path: Path, temporary: Path) -> None:
    """Write the line beside the object, in one step."""
    part = Part(temporary)
    try:
        part.write(_line(info).encode("ascii"))
        part.place(sums_path(path))
    finally:
        part.discard()


def _line(info: ObjectInfo) -> str:
    check = blake3(f"{info.digest} {info.sha256} {info.size}".encode("ascii", "replace")).hexdigest(16)
    return f"{info.sha256} {info.size} {check}\n"
