"""Brings the journals of a folder to a home, objects first, in pieces that fit into a request."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tidegate.kernel.errors import Internal, TidegateError, Unavailable
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.progress import Progress
from tidegate.runs.offline.entries import Appended, Entry, UploadedRun
from tidegate.runs.offline.journal import OBJECTS, Noted, journals_of, read_journal
from tidegate.storage.objects import open_objects

PIECE_BYTES = 512 * 1024
PIECE_ENTRIES = 500
"""What one call sends: far below a request's limit, and short for whoever else writes to the home."""


class Append(Protocol):
    """`Runs.append`."""

    def __call__(self, run_id: str, *, first: int = ..., entries: tuple[Entry, ...] = ...) -> Appended:
        """Write entries; how many the home has now."""
        ...


def upload(folder: Path, append: Append, objects: ObjectPlane) -> list[UploadedRun]:
    """Upload every journal of a folder, those of runs that began first before the others."""
    paths = journals_of(folder)
    kept = open_objects(paths[0].parent / OBJECTS)
    return [_upload_run(path, append, kept, objects) for path in paths]


def _upload_run(path: Path, append: Append, kept: ObjectPlane, objects: ObjectPlane) -> UploadedRun:
    run_id, noted = read_journal(path)
    experiment, have, sent, ended, error = "", 0, 0, False, ""
    present: set[str] = set()
    progress = Progress(f"uploading run {run_id}", path.stat().st_size)
    try:
        for piece in _pieces(noted):
            progress.advance(sum(one.size for one in piece))
            begun = piece[0].entry.begun
            experiment = experiment if begun is None else begun.experiment
            ended = ended or any(one.entry.ended is not None for one in piece)
            missing = [one for one in piece if one.number >= have]
            if missing:
                entries = tuple(one.entry for one in missing)
                _send_objects(entries, kept, objects, present)
                answer = append(run_id, first=missing[0].number, entries=entries)
                have, sent = answer.entries, sent + answer.written
    except (Unavailable, Internal):
        raise
    except TidegateError as refused:
        error = refused.message
    finally:
        progress.close()
    return UploadedRun(run_id=run_id, experiment=experiment, entries=have, sent=sent, ended=ended, error=error)


def _send_objects(entries: tuple[Entry, ...], kept: ObjectPlane, objects: ObjectPlane, present: set[str]) -> None:
    """Put what entries refer to, and the home does not have: it takes no entry whose objects are missing."""
    for digest in (digest for entry in entries for digest in entry.digests()):
        if digest not in present and not objects.exists(digest):
            objects.put(kept.stream(digest), expect=digest)
        present.add(digest)


def _pieces(noted: Iterator[Noted]) -> Iterator[list[Noted]]:
    """The first entry by itself, whose answer says how much the home has already; then as many as fit."""
    piece: list[Noted] = []
    size = 0
    for one in noted:
        if piece and (piece[0].number == 0 or len(piece) == PIECE_ENTRIES or size + one.size > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(one)
        size += one.size
    if piece:
        yield piece
