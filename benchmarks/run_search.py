"""What a search over runs takes, beside raw sqlite3 with the same filter on the same catalog, in the same run.

``python benchmarks/run_search.py [--runs 10000] [--names 12000] [--rounds 30] [--folder DIR] [--json]``
Each run has 5 metrics, and 2 more of so many names, 5 params and 3 tags. Rounds of ours and of the raw limit alternate;
the median round counts. The limit is SQL by hand that reads the same rows of the same runs into tuples, without
records, pages or cursors.
"""

import argparse
import contextlib
import json
import random
import sqlite3
import statistics
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

from tidegate.kernel.settings import Settings
from tidegate.runs.records import Metric
from tidegate.workspace import open_local

PIECE = 100
FILTER = "metrics.m0 > 0.5 AND params.p1 = '2'"
RAW_FILTER = (
    "run.id IN (SELECT run_id FROM run_series WHERE name = 'm0' AND last_value > 0.5) "
    "AND run.id IN (SELECT run_id FROM run_param WHERE name = 'p1' AND head = '2')"
)
RAW_PAGE = (
    "SELECT run.* FROM run LEFT JOIN run_series AS k ON k.run_id = run.id AND k.name = 'm1' WHERE {filter} "
    "ORDER BY k.last_value IS NULL, k.last_value DESC, run.started_at DESC, run.id LIMIT 101"
)
RAW_ALL = "SELECT * FROM run ORDER BY started_at DESC, id LIMIT 1001"
PARTS = (
    "SELECT run_id, name, text FROM run_param WHERE run_id IN ({ids})",
    "SELECT run_id, name, last_value, last_step, last_at FROM run_series WHERE run_id IN ({ids})",
    "SELECT run_id, name, text FROM run_tag WHERE run_id IN ({ids})",
    "SELECT run_id, digest, label FROM run_input WHERE run_id IN ({ids})",
    "SELECT run_id, name, digest, bytes FROM run_artifact WHERE run_id IN ({ids})",
)


def fill(workspace: Any, count: int, names: int = 0) -> None:
    """So many runs of one experiment, whose metrics have so many names beside five that all of them have."""
    chance = random.Random(7)
    rare = cycle(f"rare/{number}" for number in range(names))

    def add() -> None:
        for _ in range(PIECE):
            params: dict[str, Any] = {f"p{number}": str(chance.randrange(4)) for number in range(4)}
            run = workspace.runs.create(
                "search",
                params=params | {"rate": chance.random()},
                tags={f"t{n}": f"v{chance.randrange(9)}" for n in range(3)},
            )
            measured = [f"m{number}" for number in range(5)] + list(islice(rare, 2))
            workspace.runs.log(run.id, metrics=tuple(Metric(name=name, value=chance.random()) for name in measured))

    for _ in range(count // PIECE):
        workspace.storage.catalog.write(add, durable=False)


def raw_page(connection: sqlite3.Connection, query: str) -> int:
    """Read a page and the parts of its runs."""
    ids = [row[0] for row in connection.execute(query).fetchall()]
    marks = ",".join("?" * len(ids))
    return sum(len(connection.execute(part.format(ids=marks), ids).fetchall()) for part in PARTS)


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def measure(ours: Callable[[], object], raw: Callable[[], object], rounds: int) -> dict[str, float]:
    """Medians of alternating rounds in milliseconds, and how many times the limit ours takes."""
    times = [(seconds(ours), seconds(raw)) for _ in range(rounds + 2)][2:]
    mine, limit = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    return {"ours_ms": round(mine, 2), "raw_ms": round(limit, 2), "ratio": round(mine / limit, 2)}


def compare(folder: Path, runs: int, names: int, rounds: int) -> dict[str, Any]:
    """Every figure."""
    with contextlib.closing(open_local(Settings(home=str(folder / "home")))) as workspace:
        filling = seconds(lambda: fill(workspace, runs, names))
        search = workspace.runs
        with contextlib.closing(sqlite3.connect(folder / "home" / "catalog.db")) as raw:
            filtered = RAW_PAGE.format(filter=RAW_FILTER)
            count = f"SELECT count(*) FROM run WHERE {RAW_FILTER}"
            order = ("metrics.m1 DESC",)
            return {
                "runs": runs,
                "metric names": names,
                "filling_s": round(filling, 1),
                "found": search.count(FILTER),
                "filtered, ordered page of 100": measure(
                    lambda: search.search(FILTER, order_by=order), lambda: raw_page(raw, filtered), rounds
                ),
                "the same, one metric of each": measure(
                    lambda: search.search(FILTER, order_by=order, fields=("metrics.m1",)),
                    lambda: raw.execute(filtered).fetchall(),
                    rounds,
                ),
                "page of 1,000": measure(lambda: search.search(limit=1000), lambda: raw_page(raw, RAW_ALL), rounds),
                "count": measure(lambda: search.count(FILTER), lambda: raw.execute(count).fetchall(), rounds),
            }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--names", type=int, default=12_000, help="of metrics that few runs have")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = compare(Path(folder), given.runs, given.names, given.rounds)
    if given.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        print(f"{name:32}", figures)


if __name__ == "__main__":
    main()
