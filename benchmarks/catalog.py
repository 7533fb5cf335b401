"""What a transaction on the SQLite catalog costs, beside raw sqlite3 with the same insert and the same durability.

``python benchmarks/catalog.py [--seconds 0.5] [--rounds 5] [--folder DIR] [--json]``
Ratios: committed transactions a second against one raw connection (BEGIN IMMEDIATE, INSERT, COMMIT) that as many
threads share by a lock; "ratio" with a prepared statement, "not prepared" by SQLAlchemy's own execution. Rounds of
all three alternate, and the median round counts, since a disk is never steady.
Then four processes on one home: the share of the least and the most served (`command_beside_server.py` tells how
long a command's write takes).
"""

import argparse
import json
import multiprocessing
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Queue

import sqlalchemy as sa

import tidegate.workspace  # noqa: F401 - the tables of every room
from tidegate.storage.catalog import Catalog, open_catalog

AIM = 0.7
TEXT = "x" * 100
metadata = sa.MetaData()
rows = sa.Table(
    "benchmark_row", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String(100))
)
INSERT = rows.insert()


def rate(act: Callable[[], object], threads: int, seconds: float) -> float:
    """Calls a second by so many threads."""
    counts = [0] * threads
    start = threading.Barrier(threads + 1)
    end = [float("inf")]

    def load(thread: int) -> None:
        start.wait()
        while time.perf_counter() < end[0]:
            act()
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


def opened(folder: Path) -> Catalog:
    """The catalog, with the table of this benchmark."""
    catalog = open_catalog("", folder)

    def make() -> None:
        with catalog.connect() as connection:
            metadata.create_all(connection)

    catalog.write(make)
    return catalog


def writing(catalog: Catalog, durable: bool) -> Callable[[], None]:
    """One committed insert through the catalog, prepared as those are that every change makes."""
    insert = catalog.prepared(INSERT)

    def work() -> None:
        insert(text=TEXT)

    return lambda: catalog.write(work, durable=durable)


def executing(catalog: Catalog, durable: bool) -> Callable[[], None]:
    """The same by SQLAlchemy's own execution, as rarer writes are made."""

    def work() -> None:
        with catalog.connect() as connection:
            connection.execute(INSERT, {"text": TEXT})

    return lambda: catalog.write(work, durable=durable)


def raw_writing(folder: Path, durable: bool) -> tuple[Callable[[], None], Callable[[], None]]:
    """The same without us, and how to end it."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    connection.execute("CREATE TABLE IF NOT EXISTS benchmark_row (id INTEGER PRIMARY KEY, text VARCHAR(100))")
    lock = threading.Lock()

    def write() -> None:
        with lock:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO benchmark_row (text) VALUES (?)", (TEXT,))
            connection.execute("COMMIT")

    return write, connection.close


def process_load(folder: Path, end: Event, counted: "Queue[float]") -> None:
    """A process that writes until it is told to end, and says how often."""
    catalog = open_catalog("", folder)
    write, count = writing(catalog, True), 0
    write()
    counted.put(-1)
    while not end.is_set():
        write()
        count += 1
    catalog.close()
    counted.put(count)


def beside(folder: Path, processes: int, act: Callable[[], None]) -> list[float]:
    """Do something while processes write; what each of them wrote from the first common moment on."""
    context = multiprocessing.get_context("spawn")
    end, counted = context.Event(), context.Queue()
    children = [context.Process(target=process_load, args=(folder, end, counted)) for _ in range(processes)]
    for child in children:
        child.start()
    for _ in children:
        counted.get(timeout=60)
    act()
    end.set()
    counts = [counted.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    return sorted(counts)


def measure_ratios(folder: Path, seconds: float, rounds: int) -> dict[str, float]:
    """Transactions a second, ours and raw."""
    figures: dict[str, list[float]] = {}
    catalog = opened(folder)
    for _ in range(rounds):
        for name, durable in (("FULL", True), ("NORMAL", False)):
            raw, end = raw_writing(folder, durable)
            for threads in (1, 8):
                limit = rate(raw, threads, seconds)
                ours = rate(writing(catalog, durable), threads, seconds)
                rare = rate(executing(catalog, durable), threads, seconds)
                case = f"{name}, {threads} writers"
                figures.setdefault(f"raw/s, {case}", []).append(limit)
                figures.setdefault(f"catalog/s, {case}", []).append(ours)
                figures.setdefault(f"ratio, {case}", []).append(ours / limit)
                figures.setdefault(f"not prepared, {case}", []).append(rare / limit)
            end()
    catalog.close()
    return {name: statistics.median(values) for name, values in figures.items()}


def measure_processes(folder: Path, seconds: float) -> dict[str, float]:
    """Four processes at once."""
    opened(folder).close()
    counts = beside(folder, 4, lambda: time.sleep(4 * seconds))
    return {
        "4 processes, transactions/s": sum(counts) / (4 * seconds),
        "4 processes, least of the most served": counts[0] / max(1.0, counts[-1]),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each round and case")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the working directory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd(), prefix=".catalog-bench-") as folder:
        figures = measure_ratios(Path(folder), options.seconds, options.rounds)
        figures |= measure_processes(Path(folder), options.seconds)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        aim = f"   (aim >= {AIM})" if "ratio" in name else ""
        print(f"{name:42} {value:12,.2f}{aim}")


if __name__ == "__main__":
    main()
