"""Where to begin in a file that grows, so that reading on costs what is new and not what is there."""

import threading
from bisect import bisect_right
from collections.abc import Container
from operator import attrgetter
from typing import NamedTuple

Topic = tuple[str, str]
"""A segment and a topic of it."""

APART = 64 << 10
"""Bytes between two bookmarks: whoever goes back to an earlier record reads at most about so many before it."""


class Bookmark(NamedTuple):
    """A record in a file, and what was seen of one topic up to it."""

    latest: int
    """The number of the topic's last record up to here."""
    number: int
    offset: int
    topics: dict[int, str]


class Bookmarks:
    """A sparse index of the files that were read, one entry each `APART` bytes and the newest. Thread-safe.

    Readers of one topic may be at different records: one looks ahead of what another has made sure of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: dict[Topic, list[Bookmark]] = {}

    def keep(self, topic: Topic, mark: Bookmark) -> None:
        """Remember a record, unless one as far in the file is known."""
        with self._lock:
            marks = self._marks.setdefault(topic, [])
            if marks and mark.offset <= marks[-1].offset:
                return
            if len(marks) > 1 and marks[-1].offset - marks[-2].offset < APART:
                marks.pop()
            marks.append(mark)

    def before(self, topic: Topic, after: int) -> Bookmark | None:
        """The last record known that no record of the topic beyond number `after` comes before or is."""
        with self._lock:
            marks = self._marks.get(topic, [])
            place = bisect_right(marks, after, key=attrgetter("latest"))
            return marks[place - 1] if place else None

    def forget(self, topic: Topic) -> None:
        """Drop what is known of a file that is no longer what it was."""
        with self._lock:
            self._marks.pop(topic, None)

    def forget_all_but(self, segments: Container[str]) -> None:
        """Drop what is known of files that are gone."""
        with self._lock:
            for topic in [topic for topic in self._marks if topic[0] not in segments]:
                del self._marks[topic]
