"""The journal of one offline run: a segment of frames, each with a checksum, that only its own process appends to."""

import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from tidegate.kernel import wire
from tidegate.kernel.errors import Conflict, Internal, Invalid, NotFound, Unavailable
from tidegate.kernel.ids import parse_id
from tidegate.runs.offline.entries import METRICS_AT_ONCE, Entry
from tidegate.storage.journal import frames
from tidegate.storage.journal.segment import SUFFIX, OwnedSegment

FOLDER = "tidegate-offline"
"""Where runs go that are told no folder: beside the notebook."""

OBJECTS = "objects"
"""The folder, beside the journals, of the objects that they refer to."""

_TOPIC = "run"


class RunJournal:
    """Appends the entries of one run. Thread-safe.

    Laws:

    1. **Kept.** An entry that was appended survives the death of the process at any instant; after `sync`, that of
       the machine.
    2. **Torn.** What a death cuts in the middle of an entry is no entry: readers stop before it, whatever its length.
    3. **Numbered.** Entries are read in the order in which they were appended, and an entry keeps its number.
    """

    def __init__(self, folder: Path, run_id: str, began: datetime) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._segment = OwnedSegment(folder, run_id, 0, began)
        except OSError as error:
            raise Unavailable(f"the offline run cannot be kept in {folder}: {error.strerror}") from error
        self._lock = threading.Lock()

    def append(self, entry: Entry) -> None:
        """Write an entry; one with many measurements as several. Raises `Unavailable` where the disk is full."""
        payloads = [wire.encode(part, Entry) for part in _parts(entry)]
        with self._lock:
            if self._segment.fd < 0:
                raise Conflict("the journal of this run is closed: its run has ended")
            try:
                self._segment.append_many(_TOPIC, payloads)
            except OSError as error:
                raise Unavailable(
                    f"the offline run in {self._segment.folder} cannot be written: {error.strerror}; nothing of this "
                    "call was kept"
                ) from error

    def close(self) -> None:
        """Bring everything to the disk, and let go of the file; harmless when it was closed before."""
        with self._lock:
            if self._segment.fd >= 0:
                self._segment.sync(self._segment.size)
                self._segment.close()


class Noted(NamedTuple):
    """An entry as read, with its number and the length of its text."""

    number: int
    entry: Entry
    size: int


def journals_of(folder: Path) -> list[Path]:
    """The journals in a folder, or the one that is named, by the moment at which their runs began.

    Raises `NotFound` where there is none.
    """
    found = [folder] if folder.is_file() else sorted(folder.glob(f"*{SUFFIX}"))
    if not found:
        raise NotFound(f"there is no journal of an offline run in {folder}: name the folder that it was started with")
    return found


def read_journal(path: Path) -> tuple[str, Iterator[Noted]]:
    """The run of a journal, and its whole entries in order. Raises `Invalid` where the file is no such journal."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
    try:
        header = frames.read_header(fd)
        parse_id(header.segment, "run")
    except (Internal, Invalid) as error:
        os.close(fd)
        raise Invalid(f"{path} is not the journal of an offline run, or its first bytes are damaged") from error
    return header.segment, _entries(path, fd, header.seed)


def _entries(path: Path, fd: int, seed: int) -> Iterator[Noted]:
    try:
        for number, frame in enumerate(frames.read_frames(fd, seed, {})):
            entry: Entry = wire.decode(frame.payload, Entry, f"entry {number} of {path}")
            yield Noted(number, entry, len(frame.payload))
    finally:
        os.close(fd)


def _parts(entry: Entry) -> Iterator[Entry]:
    """An entry, with its measurements spread over as many entries as they need."""
    first, rest = entry.metrics[:METRICS_AT_ONCE], entry.metrics[METRICS_AT_ONCE:]
    yield replace(entry, metrics=first)
    for start in range(0, len(rest), METRICS_AT_ONCE):
        yield Entry(metrics=rest[start : start + METRICS_AT_ONCE])
