"""What appending to the journal costs, beside the system calls that no journal can do without, in the same run.

``python benchmarks/journal_append.py [--seconds 0.5] [--rounds 5] [--folder DIR] [--json]``
Durable: appends that return synced, per second, against `write` + `fdatasync` by as many threads on one file.
Acked: microseconds of one append against one `write`. Rounds of both alternate, and the median round counts,
since a disk is never steady.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tidegate.kernel.clock import SystemClock
from tidegate.storage.journal import JournalWriter

TOPIC = "prediction"
PAYLOAD = os.urandom(300)
AIM = 0.7
Append = Callable[[], object]


def rate(append: Append, threads: int, seconds: float) -> float:
    """Calls a second by so many threads."""
    counts = [0] * threads
    start = threading.Barrier(threads + 1)
    end = [float("inf")]

    def load(thread: int) -> None:
        start.wait()
        while time.perf_counter() < end[0]:
            append()
            counts[thread] += 1

    workers = [threading.Thread(target=load, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    begun = time.perf_counter()
    end[0] = begun + seconds
    start.wait()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - begun)


def event_loop_rate(writer: JournalWriter, waiting: int, seconds: float) -> float:
    """Durable appends a second by tasks of one event loop."""

    async def task(end: float) -> int:
        count = 0
        while time.perf_counter() < end:
            await asyncio.wrap_future(writer.commit_async(TOPIC, [PAYLOAD]))
            count += 1
        return count

    async def all_tasks() -> float:
        begun = time.perf_counter()
        counts = await asyncio.gather(*(task(begun + seconds) for _ in range(waiting)))
        return sum(counts) / (time.perf_counter() - begun)

    return asyncio.run(all_tasks())


def microseconds(append: Append, calls: int = 5000) -> tuple[float, float]:
    """Median and 99th percentile of one call."""
    spent = []
    for _ in range(calls):
        begun = time.perf_counter_ns()
        append()
        spent.append(time.perf_counter_ns() - begun)
    spent.sort()
    return spent[calls // 2] / 1000, spent[calls * 99 // 100] / 1000


def measure(folder: Path, seconds: float, rounds: int) -> dict[str, float]:
    """All figures; ratios are medians over rounds."""
    raw = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def raw_durable() -> None:
        os.write(raw, PAYLOAD)
        os.fdatasync(raw)

    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    with JournalWriter(folder / "journal", writer=1, clock=SystemClock()) as writer:
        for _ in range(rounds):
            for threads in (1, 8):
                limit = rate(raw_durable, threads, seconds)
                ours = rate(lambda: writer.append_durable(TOPIC, [PAYLOAD]), threads, seconds)
                note(f"raw durable/s, {threads} threads", limit)
                note(f"durable/s, {threads} threads", ours)
                note(f"durable ratio, {threads} threads", ours / limit)
            note("durable/s, 8 tasks of an event loop", event_loop_rate(writer, 8, seconds))
            for name, append in (
                ("os.write", lambda: os.write(raw, PAYLOAD)),
                ("acked append", lambda: writer.append(TOPIC, PAYLOAD)),
                ("acked append_many of 10, each", lambda: writer.append_many(TOPIC, [PAYLOAD] * 10)),
            ):
                p50, p99 = microseconds(append)
                note(f"{name}, us p50", p50 / 10 if "10" in name else p50)
                note(f"{name}, us p99", p99 / 10 if "10" in name else p99)
    os.close(raw)
    return {name: statistics.median(values) for name, values in figures.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each round and case")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the working directory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd(), prefix=".journal-bench-") as folder:
        figures = measure(Path(folder), options.seconds, options.rounds)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        aim = f"   (aim >= {AIM})" if "ratio" in name else ""
        print(f"{name:42} {value:12,.2f}{aim}")


if __name__ == "__main__":
    main()
