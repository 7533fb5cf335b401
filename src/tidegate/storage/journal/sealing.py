"""Sealing: a segment that nobody owns any more becomes Parquet objects and rows of the index, then goes away."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from tidegate.kernel.clock import BusinessClock, from_micros
from tidegate.kernel.errors import Internal, Refused
from tidegate.kernel.objects import ObjectPlane
from tidegate.storage.journal.frames import Frame, Header, read_header, salvage
from tidegate.storage.journal.index import SegmentIndex
from tidegate.storage.journal.parquet import TopicCodec, TopicParquet, to_parquet
from tidegate.storage.journal.records import RefusedSegment, SealedPart, SealResult
from tidegate.storage.journal.segment import DAMAGED_SUFFIX, NEW_SUFFIX, SUFFIX, sync_folder, take_lock

SealingStep = Literal["locked", "mended", "stored", "indexed", "removed"]
Observer = Callable[[SealingStep], None]


def seal_once(
    folder: Path,
    *,
    index: SegmentIndex,
    objects: ObjectPlane,
    codecs: Iterable[TopicCodec],
    clock: BusinessClock,
    skip: Collection[str] = (),
    observe: Observer = lambda step: None,
) -> SealResult:
    """Seal the oldest segment whose lock can be taken: its owner is dead, or has rolled on.

    Segments that cannot be sealed are refused in the result, stay as they are, and do not hold up the others; name
    them in `skip` to leave them alone. Killed at any step, calling it again finishes the work. Raises `Unavailable`
    when the objects or the catalog do not answer; nothing is lost then.
    """
    _clear_unfinished(folder)
    sealer = _Sealer(index, objects, {codec.topic: codec for codec in codecs}, clock, observe)
    refused: list[RefusedSegment] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        fd = None if path.stem in skip else take_lock(path)
        if fd is None:
            continue
        try:
            return msgspec.structs.replace(sealer.seal(path, fd), refused=tuple(refused))
        except Refused as error:
            refused.append(RefusedSegment(segment=path.stem, reason=error.message))
        finally:
            os.close(fd)
    return SealResult(refused=tuple(refused))


class _Abandoned(NamedTuple):
    """A segment whose lock we hold."""

    path: Path
    header: Header
    topics: dict[str, list[Frame]]
    torn: int
    damaged: int

    def remove(self) -> None:
        """Drop the file; of a damaged one keep it under another name, for people to look at."""
        if self.damaged:
            self.path.rename(self.path.with_suffix(DAMAGED_SUFFIX))
        else:
            self.path.unlink()
        sync_folder(self.path.parent)


@dataclass(frozen=True)
class _Sealer:
    """Seals one segment after the other."""

    index: SegmentIndex
    objects: ObjectPlane
    codecs: Mapping[str, TopicCodec]
    clock: BusinessClock
    observe: Observer

    def seal(self, path: Path, fd: int) -> SealResult:
        """Seal a segment whose lock we hold. Raises `Refused` when it has to stay a file."""
        self.observe("locked")
        segment = _mend(path, fd)
        self.observe("mended")
        sealed = tuple(self.index.parts_of([path.stem]))
        if segment.topics and not sealed:
            parts = self._store(segment)
            self.observe("stored")
            sealed = self.index.add(parts)
            self.observe("indexed")
        segment.remove()
        self.observe("removed")
        return SealResult(segment=path.stem, sealed=sealed, torn_bytes=segment.torn, damaged_bytes=segment.damaged)

    def _store(self, segment: _Abandoned) -> list[SealedPart]:
        missing = sorted(set(segment.topics).difference(self.codecs))
        if missing:
            names = ", ".join(missing)
            raise Refused(f"segment {segment.path.stem} holds topics without codec: {names}; it stays a file")
        files = {
            topic: _encode(self.codecs[topic], frames, segment.path.stem) for topic, frames in segment.topics.items()
        }
        return [self._put(segment, topic, file) for topic, file in files.items()]

    def _put(self, segment: _Abandoned, topic: str, file: TopicParquet) -> SealedPart:
        info = self.objects.put(file.data)
        frames = segment.topics[topic]
        return SealedPart(
            segment=segment.path.stem,
            topic=topic,
            writer=segment.header.writer,
            opened_at=segment.header.opened_at,
            sealed_at=self.clock.now(),
            digest=info.digest,
            sha256=info.sha256,
            size=info.size,
            rows=len(frames),
            first_number=frames[0].number,
            last_number=frames[-1].number,
            first_time=file.first_time,
            last_time=file.last_time,
            first_id=file.first_id,
            last_id=file.last_id,
        )


def _mend(path: Path, fd: int) -> _Abandoned:
    """Read whatever reads as a record, and cut a torn tail off the file."""
    data = path.read_bytes()
    try:
        header = read_header(fd)
    except Internal as error:
        if data.strip(b"\0"):
            raise Refused(f"segment {path.stem}: {error.message}; it stays a file") from error
        # Power was lost before the first sync: a name without content.
        return _Abandoned(path, Header(path.stem, 0, from_micros(0), 0), {}, len(data), 0)
    found = salvage(data, header.seed)
    torn = len(data) - found.valid_end
    if torn:
        os.ftruncate(fd, found.valid_end)
        os.fsync(fd)
    topics: dict[str, list[Frame]] = {}
    for frame in sorted(found.frames, key=attrgetter("topic")):
        topics.setdefault(frame.topic, []).append(frame)
    return _Abandoned(path, header, topics, torn, found.damaged)


def _encode(codec: TopicCodec, frames: list[Frame], segment: str) -> TopicParquet:
    try:
        return to_parquet(codec, [frame.number for frame in frames], [frame.payload for frame in frames])
    except Exception as error:
        raise Refused(
            f"segment {segment}: the codec of topic {codec.topic!r} failed ({error}); it stays a file"
        ) from error


def _clear_unfinished(folder: Path) -> None:
    """Files of writers that died before their segment had its name: there is no record in them."""
    for path in folder.glob(f"*{NEW_SUFFIX}"):
        fd = take_lock(path)
        if fd is not None:
            path.unlink(missing_ok=True)
            os.close(fd)
