"""The demo's bar on a terminal: steps are told above it, and when the year is over nothing of it is left."""

import os
import pty
import subprocess
import sys

TOLD = """
from tidegate.cli.demo import _Bar

with _Bar() as bar:
    bar.show(1, 2)
    bar.say("plain", "something happened")
    bar.show(2, 2)
    bar.say("plain", "the summary")
"""


def _on_a_screen(told: str) -> list[str]:
    """The lines that are left when the cursor has gone back and lines were erased."""
    lines = []
    for line in told.split("\r\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part.removeprefix("\x1b[2K") if part.startswith("\x1b[2K") else part + shown[len(part) :]
        lines.append(shown)
    return lines


def _told_to_a_terminal(code: str) -> str:
    terminal, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", code], stdout=theirs, check=True, timeout=60)
        return os.read(terminal, 65_536).decode()
    finally:
        os.close(theirs)
        os.close(terminal)


def test_steps_are_told_above_the_bar_and_nothing_of_it_is_left_at_the_end() -> None:
    told = _told_to_a_terminal(TOLD)
    assert told.count("day 1 of 2") == 2, "drawn, and once more below the step"
    assert _on_a_screen(told) == ["    something happened", "    the summary", ""]


def test_a_pipe_gets_plain_lines() -> None:
    told = subprocess.run([sys.executable, "-c", TOLD], capture_output=True, check=True, timeout=60).stdout.decode()
    assert told.splitlines() == ["    something happened", "    the summary"]
