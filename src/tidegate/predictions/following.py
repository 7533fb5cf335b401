"""Following the prediction log: what is new since a mark, so that the cost grows with the news and not with history."""

import functools
import sys
from collections import deque
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
"""So many records at most are kept, of the last steps, for others who follow the same topic."""


class News(NamedTuple):
    """What came since a mark, and the mark behind it."""

    frame: "pl.DataFrame"
    mark: Mark
    exhausted: bool
    """Whether there was nothing more when it was read."""


class Follower:
    """Reads one topic of the prediction log onwards from a mark. Not thread-safe.

    Several may follow through one, each from marks of its own: what one has read, the next takes from memory.

    Law: following from the empty mark, each time from the mark that the last step gave, yields every record of the
    topic exactly once, whatever is written and sealed meanwhile and wherever the steps are cut.
    """

    def __init__(self, topic: str, folder: Path, index: SegmentIndex, objects: ObjectPlane) -> None:
        # A reader of its own: its bookmarks in growing files are only good for one topic.
        self._reader = JournalReader(folder, index, objects)
        self._index = index
        self._topic = topic
        self._codec = next(codec for codec in CODECS if codec.topic == topic)
        # By the law, a step and the one from its mark on are one larger step.
        self._steps: deque[_Step] = deque()
        self._end: tuple[Mark | None, object] = None, None
        """Behind the last step, and how far the log went then."""

    @functools.cached_property
    def _nothing(self) -> "pl.DataFrame":
        return self._codec.to_frame([])

    def after(self, mark: Mark, limit: int) -> News:
        """Up to about `limit` new records, by the schema of their topic in `predictions.codecs`."""
        import polars as pl

        known = self._known(mark)
        if known and known[0].frame.height > limit:
            return self._read(mark, limit)
        frames = [self._nothing]
        for step in known:
            if step.frame.height > limit:
                return News(pl.concat(frames), mark, exhausted=False)
            frames.append(step.frame)
            mark, limit = step.mark, limit - step.frame.height
        extent = self._reader.extent()  # before the look, so that what was seen is as new as that, or newer
        if (mark, extent) == self._end:
            return News(pl.concat(frames), mark, exhausted=True)
        news = self._read(mark, limit)
        self._keep(mark, news, extent)
        return News(pl.concat([*frames, news.frame]), news.mark, news.exhausted)

    def skip(self, mark: Mark) -> Mark:
        """The mark behind everything that there is now; what nobody else has read is not decoded."""
        end, _ = self._end
        if end is not None:  # whoever comes from where: this is behind all that there was when it was read
            news = self.after(end, _KEPT)
            if news.exhausted:
                return news.mark
            mark = news.mark
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

    def _known(self, mark: Mark) -> "list[_Step]":
        """The steps that are kept, from a mark on."""
        steps = list(self._steps)
        start = next((place for place, step in enumerate(steps) if step.since == mark), len(steps))
        return steps[start:]

    def _keep(self, since: Mark, news: News, extent: object) -> None:
        if not news.exhausted:
            return
        if since != self._end[0]:
            self._steps.clear()
        self._end = news.mark, extent
        if news.mark != since:
            self._steps.append(_Step(since, news.frame, news.mark))
        while sum(step.frame.height + 1 for step in self._steps) > _KEPT:
            self._steps.popleft()

    def _read(self, mark: Mark, limit: int) -> News:
        import polars as pl

        progress = _Progress(mark, limit)
        with self._reader.snapshot() as snapshot:
            frames = self._sealed(snapshot, progress)
            payloads = self._files(snapshot, progress)
        wanted = self._nothing.columns
        frame = pl.concat([self._nothing, *(frame.select(wanted) for frame in frames), self._codec.to_frame(payloads)])
        return News(frame, progress.mark(), exhausted=progress.left > 0)

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


class _Step(NamedTuple):
    """A step that was made to the end of what there was."""

    since: Mark
    frame: "pl.DataFrame"
    mark: Mark


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
