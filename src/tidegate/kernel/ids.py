"""UUIDv7 (RFC 9562) as 32 hex digits, monotonic within a factory, with the writer's number inside.

Layout: 48 bits milliseconds · version 7 · 12 bits counter (high) · variant · 14 bits counter (low) ·
16 bits writer · 32 bits random. The counter orders thousands of ids of one (simulated) millisecond;
the writer number tells which journal segment holds a prediction, so a look-up opens one file.
"""

import os
import random
import re
import threading
from datetime import datetime
from struct import pack
from typing import NamedTuple

from tidegate.kernel.clock import BusinessClock, from_micros, to_micros
from tidegate.kernel.errors import Invalid

_ID = re.compile(r"[0-9a-f]{32}")
_LAST_MILLIS = 253_402_300_799_999  # the end of the year 9999, the last that a datetime can name
_COUNTER_BITS = 26  # 12 in the high half of an id, 14 in the low
WRITERS = 1 << 16
"""How many writer numbers there are before they are used again."""

_random = random.SystemRandom()
_noise = random.Random(_random.getrandbits(128))
os.register_at_fork(after_in_child=lambda: _noise.seed(_random.getrandbits(128)))


class IdParts(NamedTuple):
    """What an id says about its birth."""

    at: datetime
    counter: int
    writer: int


class IdFactory:
    """Makes ids in increasing order, also when business time stands still or jumps back. Thread-safe."""

    def __init__(self, clock: BusinessClock, writer: int = 0) -> None:
        self._clock = clock
        self._writer = writer % WRITERS
        self._low = 0x8000_0000_0000_0000 | self._writer << 32
        self._lock = threading.Lock()
        self._next = 0  # milliseconds and counter as one number: a full counter carries over into the next millisecond

    @property
    def writer(self) -> int:
        """The number that this factory's ids carry."""
        return self._writer

    def new(self, at: datetime | None = None) -> str:
        """A new id, dated `at` (the clock's now by default), greater than every earlier one."""
        return self._spelt(self._take(1, to_micros(self._clock.now() if at is None else at)))

    def batch(self, count: int, micros: int) -> list[str]:
        """As many new ids, increasing, all dated `micros` (microseconds of business time): cheaper than one by one."""
        first = self._take(count, micros)
        if count == 1:
            return [self._spelt(first)]
        noise = f"{_noise.getrandbits(32 * count):0{8 * count}x}" if count else ""
        ids: list[str] = []
        while len(ids) < count:  # as many as have one high half
            place, done = first + len(ids), 8 * len(ids)
            some = min(count - len(ids), 0x4000 - (place & 0x3FFF))
            high, least = f"{_high(place):016x}", (self._low >> 32) + ((place & 0x3FFF) << 16)
            low = pack(f">{some}I", *range(least, least + (some << 16), 1 << 16)).hex()
            ids += [high + low[at : at + 8] + noise[done + at : done + at + 8] for at in range(0, 8 * some, 8)]
        return ids

    def _take(self, count: int, micros: int) -> int:
        earliest = (micros // 1000) << _COUNTER_BITS
        with self._lock:
            first = max(self._next, earliest)
            self._next = first + count
        return first

    def _spelt(self, place: int) -> str:
        return f"{_high(place):016x}{self._low | (place & 0x3FFF) << 48 | _noise.getrandbits(32):016x}"


def _high(place: int) -> int:
    """The first 64 bits: milliseconds, version, the high half of the counter."""
    return (place >> 26) << 16 | 0x7000 | place >> 14 & 0xFFF


def random_id() -> str:
    """An id that is only unique: request ids, idempotency keys, temporary names."""
    return f"{_noise.getrandbits(128):032x}"


def parse_id(text: str, what: str = "id") -> IdParts:
    """Time, counter and writer of an id. Raises `Invalid` when the text is not one of ours."""
    value = int(text, 16) if _ID.fullmatch(text) else 0
    if (value >> 76) & 0xF != 7 or (value >> 62) & 0x3 != 2 or value >> 80 > _LAST_MILLIS:
        raise Invalid(f"{what} {text[:64]!r} is not an id as Tidegate returns them: 32 hex digits, a UUIDv7")
    counter = ((value >> 64) & 0xFFF) << 14 | (value >> 48) & 0x3FFF
    return IdParts(from_micros((value >> 80) * 1000), counter, (value >> 32) & 0xFFFF)


def jitter() -> float:
    """A factor between 0.5 and 1.5, to spread out those who try again."""
    return 0.5 + _noise.random()
