"""The line on a terminal that says how far something long has come."""

import io

import pytest

from tidegate.kernel.clock import SystemClock
from tidegate.kernel.progress import Progress, watched


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


class Ticking(SystemClock):
    """A clock that is told."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_what_takes_long_is_told_now_and_then() -> None:
    stream, clock = Terminal(), Ticking()
    with Progress("uploading", 10_000_000, stream=stream, clock=clock) as progress:
        for _ in range(4):
            clock.seconds += 0.5
            progress.advance(2_000_000)
        shown = stream.getvalue()
        clock.seconds += 0.1
        progress.advance(1)
        assert stream.getvalue() == shown
    lines = stream.getvalue().split("\r\x1b[K")
    assert lines[1:] == [
        "uploading  4.0 MB of 10.0 MB  4.0 MB/s",
        "uploading  6.0 MB of 10.0 MB  4.0 MB/s",
        "uploading  8.0 MB of 10.0 MB  4.0 MB/s",
        "",
    ]


def test_what_is_quick_or_unseen_is_not_spoken_of() -> None:
    for stream, pause in ((Terminal(), 0.01), (io.StringIO(), 5.0)):
        clock = Ticking()
        with Progress("uploading", 10, stream=stream, clock=clock) as progress:
            for _ in range(10):
                clock.seconds += pause
                progress.advance(1)
        assert stream.getvalue() == ""


def test_a_terminal_that_goes_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = Terminal(), Ticking()
    with Progress("uploading", 3, stream=stream, clock=clock) as progress:
        clock.seconds = 2.0
        progress.advance(1)
        stream.close()
        clock.seconds = 4.0
        progress.advance(1)
    monkeypatch.setattr("sys.stderr", None)
    assert b"".join(watched([b"a", b"b"], "uploading", 2)) == b"ab"
