"""Counts and times what endpoints answer."""

import threading
from bisect import bisect_left
from collections import Counter
from typing import Final, Literal, Protocol

import msgspec

BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the latency histogram, in seconds; what is slower falls into one more bucket."""


Surprise = Literal["unknown", "missing"]


class ServingMeter(Protocol):
    """Told of every request to an endpoint, from the event loop and from threads: it must be quick."""

    def observe(self, endpoint: str, action: str, code: str, seconds: float) -> None:
        """One request ended. ``endpoint`` is empty where there is none of that name; ``code`` is `ok` or an error's."""
        ...

    def surprise(self, endpoint: str, kind: Surprise, feature: str, values: int) -> None:
        """So many values of a feature, in rows that were answered, were categories that no model knows, or missing."""
        ...


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What one endpoint has answered under one code since the process began."""

    endpoint: str
    action: str
    code: str
    requests: int
    seconds: float
    """Total."""
    buckets: tuple[int, ...]
    """Requests by latency: one count for each of `BUCKETS`, and one for what was slower; not cumulative."""


class TrafficMeter:
    """Keeps the counts in memory, to be read by whoever shows them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str, str], float] = {}
        self.surprises = Counter[tuple[str, Surprise, str]]()
        """Values by endpoint, kind and feature."""

    def observe(self, endpoint: str, action: str, code: str, seconds: float) -> None:
        """One request ended."""
        key = (endpoint, action, code)
        bucket = bisect_left(BUCKETS, seconds)
        with self._lock:
            counts = self._counts.get(key)
            if counts is None:
                counts = self._counts[key] = [0] * (len(BUCKETS) + 1)
            counts[bucket] += 1
            self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    def surprise(self, endpoint: str, kind: Surprise, feature: str, values: int) -> None:
        """So many values were unknown, or missing."""
        with self._lock:
            self.surprises[endpoint, kind, feature] += values

    def traffic(self) -> list[Traffic]:
        """The counts so far, by endpoint, action and code."""
        with self._lock:
            kept = [(key, tuple(counts), self._seconds[key]) for key, counts in sorted(self._counts.items())]
        return [
            Traffic(endpoint=key[0], action=key[1], code=key[2], requests=sum(counts), seconds=total, buckets=counts)
            for key, counts, total in kept
        ]
