"""The real `mlflow` client against a served home, against MLflow's own server, and against nothing, in one run.

``python benchmarks/mlflow_tracking.py [--seconds 1] [--rounds 2] [--runs 10000] [--json]``
The limit is the same client against a server that answers every call at once: with nothing, or with what ours said.
Reads are also asked over a bare connection ("on the wire"), without the client, whose own work a large answer mostly
is; there the servers' CPU time is told, too, which a busy machine disturbs less. MLflow's server runs as it does by
default (4 workers), and with ``--workers 1``. Both run on SQLite, and write to PostgreSQL, too: the same server, which
does not fsync. Rounds of writes alternate between the servers, and the median counts; what is read was put into both
databases beforehand, the same runs and points. Needs the peers `mlflow` and `mlflow_server` (`make test-peers` makes
their environments).
"""

import argparse
import contextlib
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

POINTS = 100_000
START = 1_700_000_000_000
ARTIFACT = 100_000_000
METRICS = "/ajax-api/2.0/mlflow/metrics"
FILTER = "metrics.m0 > 0.5 and params.p1 = '2'"
AIMS = {
    "of the limit, log_metric": 0.6,
    "of the limit, log_batch, points": 0.6,
    "times mlflow, search, filter and order, 100 of them": 10,
    "times mlflow, on the wire, history of 100k points": 10,
    "times mlflow, on the wire, chart of 320 points of them": 20,
    "times mlflow, model version": 3,
    "on postgres, of the limit, log_metric": 0.6,
    "on postgres, of the limit, log_batch, points": 0.6,
    "on postgres, times mlflow, model version": 3,
}
Figures = dict[str, float]


def until_ready(url: str, process: "subprocess.Popen[bytes]") -> float:
    """Seconds until a server answers."""
    begun = time.perf_counter()
    while process.poll() is None and time.perf_counter() < begun + 120:
        try:
            urlopen(url, timeout=5).close()
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
        else:
            return time.perf_counter() - begun
    raise SystemExit(f"{url} does not answer")


def free_port() -> int:
    """A port that nobody listens on."""
    from tidegate.http.address import reserve

    with reserve("127.0.0.1", 0) as chosen:
        return int(chosen.getsockname()[1])


def below(pid: int) -> set[int]:
    """A process and all below it."""
    found, parents = {pid}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def memory(pid: int) -> float:
    """Megabytes (RSS) of a process and all below it."""
    pages = 0
    for each in below(pid):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def cpu_seconds(pids: set[int]) -> float:
    """CPU time that processes have spent."""
    ticks = 0
    for each in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Wire:
    """The reads of `reads.py` over one bare connection."""

    def __init__(self, address: str, known: dict[str, str]) -> None:
        self._connection = HTTPConnection(address.removeprefix("http://"), timeout=120)
        self._known = known

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of a call."""
        headers = {"content-type": "application/json"} if body else {}
        self._connection.request(method, path, json.dumps(body) if body else None, headers)
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        if "error_code" in answer:
            raise SystemExit(f"{path}: {answer}")
        return answer

    def search(self, text: str, order: list[str], most: int) -> dict[str, Any]:
        """Runs."""
        asked = {"experiment_ids": [self._known["experiment"]], "filter": text, "order_by": order, "max_results": most}
        return self.ask("POST", "/api/2.0/mlflow/runs/search", asked)

    def history(self) -> dict[str, Any]:
        """Every page of the long metric, as one answer."""
        path = f"{METRICS}/get-history?run_id={self._known['run']}&metric_key=long&max_results=25000"
        found = self.ask("GET", path)
        while token := found.pop("next_page_token", ""):
            page = self.ask("GET", f"{path}&page_token={quote(token)}")
            found = page | {"metrics": found["metrics"] + page["metrics"]}
        return found

    def chart(self) -> dict[str, Any]:
        """Some points of it."""
        known = self._known["run"]
        return self.ask("GET", f"{METRICS}/get-history-bulk-interval?run_ids={known}&metric_key=long&max_results=320")

    def calls(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """The reads, by name."""
        return {
            "search, filter and order, 100 of them": lambda: self.search(FILTER, ["metrics.m1 DESC"], 100),
            "page of 1,000 runs": lambda: self.search("", [], 1000),
            "history of 100k points": self.history,
            "chart of 320 points of them": self.chart,
        }

    def figures(self, pid: int) -> Figures:
        """Milliseconds that a call takes, and of the server's CPU: 5 calls, or as many as take 5 seconds."""
        found = {}
        for name, call in self.calls().items():
            times, before = [], cpu_seconds(below(pid))
            while len(times) < 5 and sum(times) < 5:
                begun = time.perf_counter()
                call()
                times.append(time.perf_counter() - begun)
            found[f"on the wire, {name}"] = 1000 * statistics.median(times)
            found[f"server's CPU, {name}"] = 1000 * max(cpu_seconds(below(pid)) - before, 0.005) / len(times)
        return found

    def replies(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What the limit shall answer to the same reads: parts of path and body, and the answer."""
        search, page, history, chart = (call() for call in self.calls().values())
        places = ("runs/search", "m0"), ("runs/search", ""), ("get-history-bulk-interval", ""), ("get-history", "")
        return [(*place, answer) for place, answer in zip(places, (search, page, chart, history), strict=True)]


def points() -> Iterator[tuple[int, int, float]]:
    """Step, milliseconds and value of the long metric."""
    chance = random.Random(3)
    return ((step, START + step * 250, chance.random()) for step in range(POINTS))


def fill_ours(home: Path, runs: int) -> dict[str, str]:
    """The runs and the points, into a new home."""
    from run_search import fill

    from tidegate.kernel.clock import from_micros
    from tidegate.kernel.settings import Settings
    from tidegate.runs.records import Metric
    from tidegate.workspace import open_local

    with open_local(Settings(home=str(home))) as workspace:
        fill(workspace, runs)
        run = workspace.runs.create("long")
        told = [Metric(name="long", value=value, step=step, at=from_micros(at * 1000)) for step, at, value in points()]
        for start in range(0, len(told), 5000):
            workspace.runs.log(run.id, metrics=tuple(told[start : start + 5000]))
        return {"experiment": workspace.experiments.get("search").id, "run": run.id}


def fill_theirs(database: Path, runs: int) -> dict[str, str]:
    """The same, into the database of a MLflow server that has made it."""
    chance = random.Random(7)
    run = "INSERT INTO runs VALUES (?,?,'UNKNOWN','','','me','RUNNING',?,NULL,'','active',?,?,NULL)"
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as db, db:
        home = int(db.execute("SELECT max(experiment_id) FROM experiments").fetchone()[0]) + 1
        row = (home, "search", "mlflow-artifacts:/x", START, START)
        db.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
            " last_update_time) VALUES (?,?,?,'active',?,?)",
            row,
        )
        ids = [f"{number:032x}" for number in range(1, runs + 2)]
        db.executemany(
            run, [(one, one[-8:], START + n, f"mlflow-artifacts:/{home}/{one}", home) for n, one in enumerate(ids)]
        )
        for one in ids[:-1]:
            params = {f"p{number}": str(chance.randrange(4)) for number in range(4)} | {"rate": str(chance.random())}
            tags = {f"t{number}": f"v{chance.randrange(9)}" for number in range(3)} | {"mlflow.runName": one[-8:]}
            latest = [(f"m{number}", chance.random(), START, 0, 0, one) for number in range(5)]
            db.executemany("INSERT INTO params VALUES (?,?,?)", [(key, text, one) for key, text in params.items()])
            db.executemany("INSERT INTO tags VALUES (?,?,?)", [(key, text, one) for key, text in tags.items()])
            db.executemany("INSERT INTO latest_metrics VALUES (?,?,?,?,?,?)", latest)
            metrics = [(key, value, at, of, step, nan) for key, value, at, step, nan, of in latest]
            db.executemany("INSERT INTO metrics VALUES (?,?,?,?,?,?)", metrics)
        long = [("long", value, at, ids[-1], step, 0) for step, at, value in points()]
        db.executemany("INSERT INTO metrics VALUES (?,?,?,?,?,?)", long)
        last = long[-1]
        db.execute("INSERT INTO latest_metrics VALUES (?,?,?,?,0,?)", (last[0], last[1], last[2], last[4], last[3]))
    return {"experiment": str(home), "run": ids[-1]}


class Servers:
    """Every server of the comparison, started one after the other, idle ones resting."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        from tests.peers.peer import find_peer

        self.folder = folder
        self.client = find_peer("mlflow")
        self._theirs = find_peer("mlflow_server")
        self._stack = stack
        self.idle: Figures = {}
        self.pids: dict[str, int] = {}

    def limit(self, *replies: Path) -> str:
        """The server that looks up nothing."""
        port, script = free_port(), Path(__file__).with_name("_mlflow_limit.py")
        process = subprocess.Popen([sys.executable, str(script), str(port), *map(str, replies)])
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        until_ready(f"http://127.0.0.1:{port}/", process)
        return f"http://127.0.0.1:{port}"

    def ours(self, home: Path, name: str, **settings: str) -> str:
        """A served home."""
        from tests.integration.tidegate_process import TidegateProcess

        server = TidegateProcess(home, **settings)
        begun = time.perf_counter()
        server.start()
        self._stack.callback(server.end)
        self._note(name, time.perf_counter() - begun, server.pid)
        return server.url

    def theirs(self, name: str, workers: str = "", database: str = "") -> str:
        """A MLflow server on a database of its own, by default SQLite's."""
        port, folder = free_port(), self.folder / name.replace(" ", "")
        options = str(port), str(folder), workers, database
        served = self._theirs.serve("serve.py", *options, log=self.folder / f"{port}.log")
        process = self._stack.enter_context(served)
        self._note(name, until_ready(f"http://127.0.0.1:{port}/health", process), process.pid)
        return f"http://127.0.0.1:{port}"

    def _note(self, name: str, seconds: float, pid: int) -> None:
        time.sleep(1)
        self.pids[name] = pid
        self.idle |= {f"{name}: seconds to ready": seconds, f"{name}: idle, MB (RSS, all processes)": memory(pid)}


def measure(seconds: float, rounds: int, runs: int, folder: Path) -> Figures:
    """All figures."""
    from tests.postgres import Databases

    with contextlib.ExitStack() as stack:
        servers = Servers(folder, stack)
        known = fill_ours(folder / "home", runs)
        databases = stack.enter_context(Databases())
        addresses = {
            "limit": servers.limit(),
            "tidegate": servers.ours(folder / "home", "tidegate"),
            "tidegate, postgres": servers.ours(
                folder / "other", "tidegate, postgres", catalog=databases.with_catalog()
            ),
            "mlflow, 1 worker": servers.theirs("mlflow, 1 worker", "1"),
            "mlflow": servers.theirs("mlflow"),
            "mlflow, postgres, 1 worker": servers.theirs("mlflow, postgres, 1 worker", "1", databases.new()),
            "mlflow, postgres": servers.theirs("mlflow, postgres", database=databases.new()),
        }
        written: dict[str, list[Figures]] = {name: [] for name in addresses}
        for _ in range(rounds):
            for name, address in addresses.items():
                written[name].append(servers.client.run("rates.py", address=address, seconds=seconds, timeout=120))
        read: dict[str, Figures] = {}
        for name in ("tidegate", "mlflow, 1 worker", "mlflow"):
            database = folder / name.replace(" ", "") / "mlflow.db"
            there = known if name == "tidegate" else fill_theirs(database, runs)
            read[name] = servers.client.run("reads.py", timeout=280, bytes=ARTIFACT, address=addresses[name], **there)
            read[name] |= Wire(addresses[name], there).figures(servers.pids[name])
        replies = folder / "replies.json"
        said = Wire(addresses["tidegate"], known).replies()
        replies.write_text(json.dumps([(path, body, json.dumps(answer)) for path, body, answer in said]), "utf-8")
        read["limit"] = servers.client.run("reads.py", timeout=280, bytes=0, address=servers.limit(replies), **known)
        return told(written, read) | servers.idle


def told(written: dict[str, list[Figures]], read: dict[str, Figures]) -> Figures:
    """Medians, and how ours stand beside the limit and beside the better of MLflow's."""
    medians = {
        name: {call: statistics.median(one[call] for one in of) for call in of[0]} for name, of in written.items() if of
    }
    figures = {f"{name}: {call}/s": value for name, of in medians.items() for call, value in of.items()}
    figures |= {f"{name}: {call}": value for name, of in read.items() for call, value in of.items()}
    for where, database in (("", ""), ("on postgres, ", ", postgres")):
        ours = medians[f"tidegate{database}"]
        theirs = [medians[f"mlflow{database}, 1 worker"], medians[f"mlflow{database}"]]
        for call, value in ours.items():
            if call in medians["limit"]:
                figures[f"{where}of the limit, {call}"] = value / medians["limit"][call]
            if all(call in one for one in theirs):
                figures[f"{where}times mlflow, {call}"] = value / max(one[call] for one in theirs)
    for call, value in read["tidegate"].items():
        others = [read["mlflow, 1 worker"][call], read["mlflow"][call]]
        figures[f"times mlflow, {call}"] = value / max(others) if call.endswith("/s") else min(others) / value
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each writing call and round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        figures = measure(options.seconds, options.rounds, options.runs, Path(folder))
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:66} {value:12,.2f}" + (f"   (aim >= {AIMS[name]})" if name in AIMS else ""))


if __name__ == "__main__":
    main()
