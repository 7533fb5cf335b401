"""A process of its own for the journal's tests: ``python -m tests.integration.storage.journal_child ROLE FOLDER …``.

It says on its standard output what it was promised, line by line, until it is killed.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from tests.contract.storage.journal_home import CLOCK, TOPIC, Home, payload, payloads
from tidegate.storage.journal import JournalWriter


def say(*words: object) -> None:
    """One line, in one write, so that a kill never cuts it."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write(folder: Path, mode: str, threads: int) -> None:
    """Append without end; each thread says the values that were acknowledged: from, to."""
    writer = JournalWriter(folder / "journal", writer=9, clock=CLOCK, segment_bytes=1_000_000)

    def load(thread: int) -> None:
        value = thread * 1_000_000
        while True:
            batch = payloads(1 + value % 3, value)
            if mode == "durable":
                writer.append_durable(TOPIC, batch)
            elif mode == "async":
                writer.commit_async(TOPIC, batch).result()
            else:
                writer.append_many(TOPIC, batch)
            say(value, value + len(batch))
            value += len(batch)

    for thread in range(1, threads):
        threading.Thread(target=load, args=(thread,), daemon=True).start()
    load(0)


def seal(folder: Path, stop_at: str) -> None:
    """Seal, and die by SIGKILL when the named step is reached."""

    def observe(step: str) -> None:
        if step == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)

    result = Home(folder).seal(observe=observe)
    say(result.segment)


def recover(folder: Path) -> None:
    """Seal whatever can be sealed, without end."""
    home = Home(folder)
    say("ready")
    while True:
        result = home.seal()
        if result.segment is not None:
            say(result.segment, result.torn_bytes, sum(part.rows for part in result.sealed))
        elif result.refused:
            say("refused", result.refused)


def pause(folder: Path) -> None:
    """Write one record, then hold the segment until told to end."""
    with JournalWriter(folder / "journal", writer=9, clock=CLOCK) as writer:
        writer.append(TOPIC, payload(0))
        say("ready")
        sys.stdin.read()


def main(role: str, folder: str, *rest: str) -> None:
    """Play one role."""
    if role == "write":
        write(Path(folder), rest[0], int(rest[1]))
    elif role == "seal":
        seal(Path(folder), rest[0])
    elif role == "recover":
        recover(Path(folder))
    else:
        pause(Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
