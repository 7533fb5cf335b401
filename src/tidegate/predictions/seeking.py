"""Finding the records of one prediction in segments that are still files, without decoding all the others."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from tidegate.storage.journal.frames import FRAME_BYTES, read_frames, read_header
from tidegate.storage.journal.segment import segment_path

_BEFORE_ID = 3
"""Bytes of a record before its first field, an id of 32 characters: the array's mark, and the text's with its length."""

_TOPICS = dict.fromkeys(range(1, 256), "")
"""Topics of a segment by their codes; which one it is shows in the record."""


def records_of(folder: Path, segment: str, prediction_id: str) -> Iterator[bytes]:
    """The records of a segment that begin with an id, predictions and labels alike.

    Raises `FileNotFoundError` when the segment has been sealed meanwhile.
    """
    fd = os.open(segment_path(folder, segment), os.O_RDONLY | os.O_CLOEXEC)
    try:
        seed = read_header(fd).seed
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as data:
            starts = list(_starts(data, prediction_id.encode()))
        for start in starts:
            # The checksum tells a record from bytes that only look like the beginning of one.
            frame = next(read_frames(fd, seed, dict(_TOPICS), start), None)
            if frame is not None and frame.start == start:
                yield frame.payload
    finally:
        os.close(fd)


def _starts(data: mmap.mmap, needle: bytes) -> Iterator[int]:
    """Where records may begin that hold the id as their first field."""
    at = data.find(needle)
    while at >= 0:
        if at >= FRAME_BYTES + _BEFORE_ID:
            yield at - FRAME_BYTES - _BEFORE_ID
        at = data.find(needle, at + 1)
