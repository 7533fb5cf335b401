"""The windows that one step of the controller touches, in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import polars as pl

from tidegate.kernel.objects import ObjectPlane
from tidegate.monitors import profile
from tidegate.monitors.records import DAY, StoredWindow, WindowKey

_Candidate = tuple[WindowKey, StoredWindow | None, str, str]


class KnownWindows(Protocol):
    """The windows that were saved before."""

    def find(self, key: WindowKey) -> StoredWindow | None:
        """The window of this key."""
        ...

    def spanning(self, endpoint: str, first_id: str, last_id: str) -> list[StoredWindow]:
        """The windows of an endpoint that may hold predictions with ids from the first to the last."""
        ...


class TouchedWindows:
    """Loads the windows that news belongs to, and no others; remembers which of them changed."""

    def __init__(self, known: KnownWindows, objects: ObjectPlane, seconds: Mapping[str, int]) -> None:
        self._known = known
        self._objects = objects
        self._seconds = seconds
        self._rows: dict[WindowKey, pl.DataFrame] = {}
        self._before: dict[WindowKey, pl.DataFrame | None] = {}
        self.removed: list[WindowKey] = []
        self._profiles: dict[WindowKey, str] = {}

    def add(self, rows: pl.DataFrame) -> None:
        """Put rows (`profile.rows_of`) into their windows."""
        placed = profile.with_starts(rows, self._seconds, DAY)
        groups = placed.partition_by([*profile.GROUP, "_seconds", "_start"], as_dict=True)
        for parts, group in groups.items():
            key = WindowKey(*parts)
            self._rows[key] = profile.merged(self._load(key), group)

    def move(self, window: StoredWindow) -> None:
        """Put the rows of a window into windows of the length that their endpoint has now."""
        self.removed.append(window.key)
        self._profiles[window.key] = window.profile
        self._before[window.key] = None
        rows = profile.unpacked(self._objects.get(window.profile))
        named = zip(profile.GROUP, window.key[: len(profile.GROUP)], strict=True)
        self.add(rows.with_columns(*(_constant(name, value) for name, value in named)))

    def label(self, endpoint: str, labels: pl.DataFrame) -> pl.DataFrame:
        """Give predictions of an endpoint their labels, one each; returns those whose prediction nobody has seen."""
        labels = labels.sort("prediction_id")
        names = labels["prediction_id"].to_list()
        left = np.ones(labels.height, np.bool_)
        for key, stored, first, last in self._candidates(endpoint, names):
            # A row that shadows answered too is in a window of each: its label goes to all of them.
            start, end = bisect_left(names, first), bisect_right(names, last)
            rows = self._load(key, stored) if start < end else None
            if rows is not None:
                self._rows[key], own = profile.labelled(rows, labels[start:end])
                left[start:end][own] = False
        return labels.filter(left)

    def changed(self) -> Iterator[tuple[WindowKey, pl.DataFrame]]:
        """The windows whose rows are no longer what was saved."""
        for key, rows in self._rows.items():
            before = self._before[key]
            if before is None or not rows.equals(before):
                yield key, rows

    def outdated_by(self, rewritten: set[WindowKey]) -> set[str]:
        """Digests of the objects that nobody needs once these windows are saved."""
        gone = rewritten.union(self.removed)
        return {digest for key, digest in self._profiles.items() if key in gone}

    def _candidates(self, endpoint: str, names: list[str]) -> list[_Candidate]:
        """The windows that may hold some of these predictions, each with its first and its last id."""
        if not names:
            return []
        mine = {key: rows["id"] for key, rows in self._rows.items() if key.endpoint == endpoint}
        here: list[_Candidate] = [(key, None, ids[0], ids[-1]) for key, ids in mine.items()]
        there: list[_Candidate] = [
            (window.key, window, window.first_id, window.last_id)
            for window in self._known.spanning(endpoint, names[0], names[-1])
            if window.key not in self._rows and window.key not in self.removed
        ]
        return here + there

    def _load(self, key: WindowKey, stored: StoredWindow | None = None) -> pl.DataFrame | None:
        """The rows of a window; `stored`: what is known of it, where it has been asked for already."""
        if key not in self._rows:
            if stored is None and key not in self.removed:
                stored = self._known.find(key)
            if stored is None:
                self._before[key] = None
                return None
            self._before[key] = self._rows[key] = profile.unpacked(self._objects.get(stored.profile))
            self._profiles[key] = stored.profile
        return self._rows[key]


def _constant(name: str, value: str | int) -> pl.Expr:
    return pl.lit(value, dtype=pl.String if isinstance(value, str) else pl.Int64).alias(name)
