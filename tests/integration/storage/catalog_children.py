"""Starts the processes of the catalog's tests, and gathers what they were promised."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from tests.contract.storage.catalog_home import sequence
from tidegate.storage.catalog import Catalog

ROOT = Path(__file__).parents[3]


class Child:
    """A running process and the lines that it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes], heard: Callable[[list[str]], None] | None = None) -> None:
        self.process = process
        self.lines: list[list[str]] = []
        self._heard = heard
        assert process.stdin is not None
        self.stdin: IO[bytes] = process.stdin
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.decode().split()
            self.lines.append(words)
            if self._heard is not None:
                self._heard(words)

    def tell(self) -> None:
        """A line on its input: begin, or end."""
        self.stdin.write(b"\n")
        self.stdin.flush()

    def drained(self) -> list[list[str]]:
        """Every line, once it has ended."""
        self.process.wait(60)
        self._reader.join(60)
        return self.lines

    def said(self, word: str) -> list[tuple[str, int]]:
        """Writer and number of every line that begins with this word."""
        return [(words[1], int(words[2])) for words in self.lines if words[0] == word]


@contextmanager
def child(
    role: str, folder: Path, address: str, *rest: str, heard: Callable[[list[str]], None] | None = None
) -> Iterator[Child]:
    """A process, killed at the end if it still runs."""
    command = [sys.executable, "-m", "tests.integration.storage.catalog_child", role, str(folder), address, *rest]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Child(process, heard)
        finally:
            process.kill()


def written(catalog: Catalog) -> list[tuple[str, int]]:
    """Every number in the catalog, as often as it is there."""
    with catalog.connect() as connection:
        return [(row.writer, row.number) for row in connection.execute(sa.select(sequence))]
