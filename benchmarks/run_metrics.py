"""What metrics cost: bytes a point on disk, points a second in, a history and a chart out, beside raw sqlite3.

``python benchmarks/run_metrics.py [--points 1000] [--runs 50] [--keys 10] [--names 12000] [--values random smooth]
[--long 100000] [--folder DIR] [--json]``; ``--runs 10000`` is 100M points, the size that the layout is made for.
Raw is one table ``(series, step, at) -> value`` WITHOUT ROWID with ``synchronous=NORMAL``, in the same run and folder:
no operation, no validation, no record. Ratios are ours to raw, of rates; below 1 ours is slower. Bytes are those of
all tables and indexes of metrics (SQLite's dbstat), right after writing, without VACUUM: free pages are reported too.
"""

import argparse
import json
import math
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.runs.records import Metric
from tidegate.workspace import Workspace, open_workspace

START = from_micros(1_700_000_000_000_000)
TABLES = "run_series", "run_metric_tail", "run_metric_chunk", "run_metric_blob"
MOST_RAW_RUNS = 1000
"""Whose points the raw table gets, too: by then its figures stand still."""

Values = Callable[[int], float]


def jittered(random_: random.Random, count: int) -> Iterator[tuple[int, int]]:
    """Steps, and times of about 50 ms apart, to the microsecond."""
    at = to_micros(START)
    for step in range(count):
        at += int(random_.gauss(50_000, 5_000))
        yield step, at


def smooth(step: int) -> float:
    """A loss curve."""
    return 2.0 / math.sqrt(1 + step)


class Raw:
    """The table that one would write by hand."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute(
            "CREATE TABLE point (series INTEGER, step INTEGER, at INTEGER, value REAL, "
            "PRIMARY KEY (series, step, at)) WITHOUT ROWID"
        )

    def append(self, rows: list[tuple[int, int, int, float]]) -> None:
        """One transaction."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO point VALUES (?, ?, ?, ?)", rows)
        self.connection.execute("COMMIT")

    def history(self, series: int) -> int:
        """Read a series."""
        query = "SELECT step, at, value FROM point WHERE series = ? ORDER BY step, at"
        return len(self.connection.execute(query, (series,)).fetchall())

    def chart(self, series: int, width: int) -> int:
        """Buckets by SQL."""
        query = "SELECT step / ?, count(*), min(value), max(value) FROM point WHERE series = ? GROUP BY 1"
        return len(self.connection.execute(query, (width, series)).fetchall())

    def bytes(self) -> int:
        """Of the table."""
        return sum(row[0] for row in self.connection.execute("SELECT pgsize FROM dbstat WHERE name = 'point'"))


def sizes(folder: Path) -> dict[str, float]:
    """Bytes of each of our tables with its indexes, and of free pages."""
    connection = sqlite3.connect(folder / "catalog.db")
    found = {
        table: sum(
            row[0]
            for row in connection.execute(
                "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_master WHERE tbl_name = ?)",
                (table,),
            )
        )
        for table in TABLES
    }
    (free,), (page,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size"))
    connection.close()
    return {**found, "free pages": free * page}


def measure_disk(
    workspace: Workspace, folder: Path, raw: Raw, values: Values, shape: tuple[int, int, int, int]
) -> dict[str, float]:
    """Many runs with several metrics each, in batches of 1,000. The names come round, run after run."""
    runs, keys, points, names = shape
    random_ = random.Random(0)
    before = sizes(folder)
    spent = raw_spent = beside = 0.0
    for number in range(runs):
        run = workspace.runs.create("disk")
        told = [(step, at, key) for step, at in jittered(random_, points) for key in range(keys)]
        for start in range(0, len(told), 1000):
            batch = [(step, at, key, values(step)) for step, at, key in told[start : start + 1000]]
            metrics = tuple(
                Metric(name=f"metric-{(number * keys + key) % names}", value=value, step=step, at=from_micros(at))
                for step, at, key, value in batch
            )
            rows = [(number * keys + key, step, at, value) for step, at, key, value in batch]
            begun = time.perf_counter()
            workspace.runs.log(run.id, metrics=metrics)
            middle = time.perf_counter()
            spent += middle - begun
            if number < MOST_RAW_RUNS:
                raw.append(rows)
                raw_spent += time.perf_counter() - middle
        begun = time.perf_counter()
        workspace.runs.finish(run.id)
        spent += time.perf_counter() - begun
        if number == min(runs, MOST_RAW_RUNS) - 1:
            beside = spent
    count, raw_count = runs * keys * points, min(runs, MOST_RAW_RUNS) * keys * points
    after = sizes(folder)
    own = {name: (after[name] - before[name]) / count for name in after}
    return {
        "bytes a point": sum(own[name] for name in TABLES),
        **{f"bytes a point, {name}": value for name, value in own.items()},
        "bytes a point, raw": raw.bytes() / raw_count,
        "points/s, batches of 1,000": count / spent,
        "points/s, batches of 1,000, raw": raw_count / raw_spent,
        "ratio, batches of 1,000": raw_spent / beside,
    }


def measure_single(workspace: Workspace, raw: Raw, count: int) -> dict[str, float]:
    """Points that come one by one, each in a transaction."""
    run = workspace.runs.create("single")
    told = list(jittered(random.Random(1), count))
    slowest = 0.0
    begun = time.perf_counter()
    for step, at in told:
        each = time.perf_counter()
        workspace.runs.log(run.id, metrics=(Metric(name="loss", value=smooth(step), step=step, at=from_micros(at)),))
        slowest = max(slowest, time.perf_counter() - each)
    middle = time.perf_counter()
    for step, at in told:
        raw.append([(-1, step, at, smooth(step))])
    end = time.perf_counter()
    return {
        "points/s, one by one": count / (middle - begun),
        "points/s, one by one, raw": count / (end - middle),
        "ratio, one by one": (end - middle) / (middle - begun),
        "slowest of them, ms": 1000 * slowest,
    }


def measure_long(workspace: Workspace, raw: Raw, count: int) -> dict[str, float]:
    """One long series: written, read whole, and drawn."""
    run = workspace.runs.create("long")
    told = [(step, at, smooth(step)) for step, at in jittered(random.Random(2), count)]
    slowest = 0.0
    begun = time.perf_counter()
    for start in range(0, count, 1000):
        metrics = tuple(
            Metric(name="loss", value=value, step=step, at=from_micros(at))
            for step, at, value in told[start : start + 1000]
        )
        each = time.perf_counter()
        workspace.runs.log(run.id, metrics=metrics)
        slowest = max(slowest, time.perf_counter() - each)
    spent = time.perf_counter() - begun
    raw.append([(-2, *row) for row in told])

    def history() -> None:
        cursor: str | None = ""
        read = 0
        while cursor is not None:
            page = workspace.runs.history(run.id, name="loss", limit=25_000, cursor=cursor)
            read, cursor = read + len(page.items), page.next
        assert read == count

    def chart() -> None:
        assert sum(each.count for each in workspace.runs.chart(run.id, ("loss",))[0].buckets) == count

    ours = {name: median(act) for name, act in (("history", history), ("chart of 320", chart))}
    raws = {"history": median(lambda: raw.history(-2)), "chart of 320": median(lambda: raw.chart(-2, -(-count // 320)))}
    return {
        "points/s, one series in batches of 1,000": count / spent,
        "slowest batch of 1,000, ms": 1000 * slowest,
        **{f"{name}, ms": 1000 * seconds for name, seconds in ours.items()},
        **{f"{name}, raw, ms": 1000 * seconds for name, seconds in raws.items()},
        **{f"ratio, {name}": raws[name] / seconds for name, seconds in ours.items()},
    }


def median(act: Callable[[], object], rounds: int = 7) -> float:
    """Seconds of the median call."""
    spent = []
    for _ in range(rounds):
        begun = time.perf_counter()
        act()
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1000, help="of each metric of each run")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--keys", type=int, default=10, help="metrics of each run")
    parser.add_argument("--names", type=int, default=12_000, help="names that there are for them")
    parser.add_argument("--values", nargs="+", choices=("random", "smooth"), default=("random", "smooth"))
    parser.add_argument("--long", type=int, default=100_000, help="points of the long series")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the working directory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    random_ = random.Random(3)
    cases: dict[str, Values] = {"random": lambda _step: random_.random(), "smooth": smooth}
    shape = (options.runs, options.keys, options.points, options.names)
    for case in options.values:
        values = cases[case]
        with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd(), prefix=".metrics-bench-") as folder:
            with open_workspace(Path(folder) / "home") as workspace:
                raw = Raw(Path(folder) / "raw.db")
                found = measure_disk(workspace, Path(folder) / "home", raw, values, shape)
                if case == options.values[-1]:
                    found |= measure_single(workspace, raw, 2000)
                    found |= measure_long(workspace, raw, options.long)
                raw.connection.close()
            figures |= {f"{case}: {name}": value for name, value in found.items()}
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        aim = "   (aim <= 30)" if name.endswith("bytes a point") else ""
        print(f"{name:60} {value:12,.2f}{aim}")


if __name__ == "__main__":
    main()
