"""Finding the records of one prediction in segments that are still files, without decoding all the others."""

import os
from collections.abc import Iterator
from pathlib import Path

from tidegate.storage.journal.frames import FRAME_BYTES, HEADER_BYTES, read_frames, read_header
from tidegate.storage.journal.segment import segment_path

_BEFORE_ID = 3
"""Bytes of a record before the id that is its first field: the mark of the array, the mark and length of the text."""

_CHUNK = 4 << 20

_TOPICS = dict.fromkeys(range(1, 256), "")
"""Topics of a segment by their codes; which one it is shows in the record."""


def records_of(folder: Path, segment: str, prediction_id: str) -> Iterator[bytes]:
    """The records of a segment that begin with an id, predictions and labels alike.

    Raises `FileNotFoundError` when the segment has been sealed meanwhile.
    """
    fd = os.open(segment_path(folder, segment), os.O_RDONLY | os.O_CLOEXEC)
    try:
        seed = read_header(fd).seed
        for start in _starts(fd, prediction_id.encode()):
            # The checksum tells a record from bytes that only look like the beginning of one.
            frame = next(read_frames(fd, seed, dict(_TOPICS), start), None)
            if frame is not None and frame.start == start:
                yield frame.payload
    finally:
        os.close(fd)


def _starts(fd: int, needle: bytes) -> Iterator[int]:
    """Where records may begin that hold the id as their first field."""
    base, data = 0, b""
    while chunk := os.pread(fd, _CHUNK, base + len(data)):
        data += chunk
        at = data.find(needle)
        while at >= 0:
            start = base + at - _BEFORE_ID - FRAME_BYTES
            if start >= HEADER_BYTES:
                yield start
            at = data.find(needle, at + 1)
        kept = min(len(data), len(needle) - 1)
        base, data = base + len(data) - kept, data[len(data) - kept :]
