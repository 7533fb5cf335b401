"""Following the prediction log: what is new since a mark, so that the cost grows with the news and not with history."""

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tidegate.kernel.objects import ObjectPlane
from tidegate.predictions.codecs import CODECS
from tidegate.predictions.reading import open_parquet
from tidegate.predictions.records import Mark
from tidegate.storage.journal import JournalReader, JournalSnapshot, SealedSegment
from tidegate.storage.journal.index import SegmentIndex
from tidegate.storage.journal.parquet import NUMBER

if TYPE_CHECKING:
    import polars as pl


_KEPT = 5_000
"""Of so many records at most the last reading is kept for others who follow the same topic."""


class News(NamedTuple):
    """What came since a mark, and the mark behind it."""

    frame: "pl.DataFrame"
    mark: Mark
    exhausted: bool
    """Whether there was nothing more when it was read."""


class Follower:
    """Reads one topic of the prediction log onwards from a mark. Not thread-safe.

    Several may follow through one, each from marks of its own: what one has read, the next does not decode again, nor
    even read while nothing is appended and they come from the same mark, as in a tick.

    Law: following from the empty mark, each time from the mark that the last step gave, yields every record of the
    topic exactly once, whatever is written and sealed meanwhile and wherever the steps are cut.
    """

    def __init__(self, topic: str, folder: Path, index: SegmentIndex, objects: ObjectPlane) -> None:
        # A reader of its own: its bookmarks in growing files are only good for one topic.
        self._reader = JournalReader(folder, index, objects)
        self._index = index
        self._topic = topic
        self._codec = next(codec for codec in CODECS if codec.topic == topic)
        self._read: tuple[Mark, object] | None = None
        self._last: tuple[Mark, object, News] | None = None
        self._decoded: tuple[list[bytes], pl.DataFrame] | None = None

    @functools.cached_property
    def _nothing(self) -> "pl.DataFrame":
        return self._codec.to_frame([])

    def after(self, mark: Mark, limit: int) -> News:
        """Up to about `limit` new records, by the schema of their topic in `predictions.codecs`."""
        import polars as pl

        extent = self._reader.extent()  # before the look, so that what was seen is as new as that, or newer
        if self._read == (mark, extent):
            return News(self._nothing, mark, True)
        if self._last is not None and self._last[:2] == (mark, extent) and self._last[2].frame.height < limit:
            return self._last[2]
        progress = _Progress(mark, limit)
        with self._reader.snapshot() as snapshot:
            frames = self._sealed(snapshot, progress)
            payloads = self._files(snapshot, progress)
        wanted = self._nothing.columns
        frame = pl.concat([*(frame.select(wanted) for frame in frames), self._frame_of(payloads)])
        news = News(frame, progress.mark(), exhausted=progress.left > 0)
        if news.exhausted:
            self._read = news.mark, extent
            self._last = (mark, extent, news) if frame.height <= _KEPT else None
        return news

    def _frame_of(self, payloads: list[bytes]) -> "pl.DataFrame":
        """The records as columns; those that were decoded last are not decoded again."""
        import polars as pl

        if not payloads:
            return self._nothing
        known, decoded = self._decoded or ([], self._nothing)
        start = known.index(payloads[0]) if payloads[0] in known else len(known)
        again = min(len(known) - start, len(payloads))
        if known[start : start + again] != payloads[:again]:
            again = 0
        frame = pl.concat([decoded.slice(start, again), self._codec.to_frame(payloads[again:])])
        if len(payloads) <= _KEPT:
            self._decoded = payloads, frame
        return frame

    def skip(self, mark: Mark) -> Mark:
        """The mark behind everything that there is now, without decoding any of it."""
        progress = _Progress(mark, sys.maxsize)
        with self._reader.snapshot() as snapshot:
            files = {info.segment for info in snapshot.segments()}
            for part in self._index.list(self._topic, after=progress.sequence):
                if part.segment in files:  # sealed since the snapshot: it is skipped as a file
                    progress.gapless = False
                else:
                    progress.take(part)
            for position, _ in snapshot.scan(self._topic, progress.numbers):
                progress.numbers[position.segment] = position.number
        return progress.mark()

    def _sealed(self, snapshot: JournalSnapshot, progress: "_Progress") -> "list[pl.DataFrame]":
        import polars as pl

        files = {info.segment for info in snapshot.segments()}
        frames: list[pl.DataFrame] = []
        for part in self._index.list(self._topic, after=progress.sequence):
            if part.segment in files:  # sealed since the snapshot: it is read as a file
                progress.gapless = False
                continue
            bounds = progress.take(part)
            if bounds is not None:
                number = pl.col(NUMBER)
                rows = open_parquet(self._reader, part).filter(number > bounds[0], number <= bounds[1])
                frames.append(rows.sort(NUMBER).collect())
        return frames

    def _files(self, snapshot: JournalSnapshot, progress: "_Progress") -> list[bytes]:
        payloads: list[bytes] = []
        if progress.left <= 0:
            return payloads
        for position, payload in snapshot.scan(self._topic, progress.numbers):
            payloads.append(payload)
            progress.numbers[position.segment] = position.number
            progress.left -= 1
            if progress.left <= 0:
                break
        return payloads


class _Progress:
    """A mark that moves on."""

    def __init__(self, mark: Mark, limit: int) -> None:
        self.sequence = mark.sequence
        self.numbers = dict(mark.numbers)
        self.left = limit
        self.gapless = True
        """Whether everything up to the part at hand has been read."""

    def take(self, part: SealedSegment) -> tuple[int, int] | None:
        """The numbers of a sealed part to be read now: greater than the first and up to the second."""
        done = self.numbers.get(part.segment, -1)
        bounds = None
        if done < part.last_number and self.left > 0:
            upto = min(part.last_number, max(done, part.first_number - 1) + self.left)
            bounds = done, upto
            self.left -= upto - max(done, part.first_number - 1)
            self.numbers[part.segment] = done = upto
        if done < part.last_number:
            self.gapless = False
        elif self.gapless:
            self.sequence = part.sequence
            self.numbers.pop(part.segment, None)
        return bounds

    def mark(self) -> Mark:
        """How far we are."""
        return Mark(sequence=self.sequence, numbers=self.numbers)
