"""A line on a terminal that says how far something long has come; nothing where nobody looks."""

import sys
from collections.abc import Iterable, Iterator
from typing import Self, TextIO

from tidegate.kernel.clock import MachineClock, SystemClock

QUIET_SECONDS = 1.0
"""What takes no longer is not spoken of."""

_AGAIN_SECONDS = 0.2
_CLEAR = "\r\x1b[K"
_STEPS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


class Progress:
    """How many of so many bytes are done. ``total`` may be a guess."""

    def __init__(
        self, what: str, total: int, *, stream: TextIO | None = None, clock: MachineClock | None = None
    ) -> None:
        self._what = what
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._clock = SystemClock() if clock is None else clock
        self._done = 0
        self._shown = False
        self._began = self._clock.monotonic()
        self._next = self._began + QUIET_SECONDS if _looked_at(self._stream) else None

    def advance(self, bytes_: int) -> None:
        """Note that so many more are done."""
        self._done += bytes_
        now = self._clock.monotonic()
        if self._next is not None and now >= self._next:
            self._next = now + _AGAIN_SECONDS
            rate = _size(self._done / max(now - self._began, 1e-9))
            self._write(f"{_CLEAR}{self._what}  {_size(self._done)} of {_size(max(self._total, self._done))}  {rate}/s")
            self._shown = True

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            self._write(_CLEAR)
            self._shown = False

    def _write(self, text: str) -> None:
        """A terminal that goes away stops nothing."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._next = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def watched(pieces: Iterable[bytes], what: str, total: int) -> Iterator[bytes]:
    """The same pieces, and on a terminal how far they have come."""
    with Progress(what, total) as progress:
        for piece in pieces:
            yield piece
            progress.advance(len(piece))


def _looked_at(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # None under pythonw, or closed
        return False


def _size(count: float) -> str:
    for step, name in _STEPS:
        if count >= step:
            return f"{count / step:.1f} {name}"
    return f"{count:.0f} B"
