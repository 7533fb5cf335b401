"""How long the writes of a command take beside a busy `tidegate serve`, and what share of the writes it gets.

``python benchmarks/command_beside_server.py [--seconds 5] [--json]``
Eight connections log metrics to a real server without a pause, while another process works on the same SQLite home as
commands do: it starts runs (a change, on disk before it returns), first one every 10 ms, then one after the other. The
limit beside it: the same runs on the same home with the server idle.
"""

import argparse
import http.client
import json
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter, sleep

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

AIM_P99 = 300.0
CONNECTIONS = 8
PAUSE_SECONDS = 0.01
METRIC = {"metrics": [{"name": "loss", "value": 0.5, "step": 1}]}


class Load:
    """Clients that log metrics without a pause, and how often they did."""

    def __init__(self, port: int, run_id: str) -> None:
        self.counts = [0] * CONNECTIONS
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._log, args=(port, run_id, one)) for one in range(CONNECTIONS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        while not all(self.counts):
            sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _log(self, port: int, run_id: str, one: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        body = json.dumps(METRIC)
        while not self._end.is_set():
            connection.request("POST", f"/api/v1/runs/{run_id}/log", body, {"content-type": "application/json"})
            response = connection.getresponse()
            said = response.read()
            assert response.status == 200, said
            self.counts[one] += 1
        connection.close()


def command_times(home: Path, seconds: float, pause: float) -> list[float]:
    """Milliseconds of each write of a command, sorted."""
    import tidegate as tg

    spent: list[float] = []
    with tg.open(home) as ws:
        ws.runs.create("commands")
        end = perf_counter() + seconds
        while (begun := perf_counter()) < end:
            ws.runs.create("commands")
            spent.append((perf_counter() - begun) * 1000)
            sleep(pause)
    return sorted(spent)


def measure(home: Path, seconds: float) -> dict[str, float]:
    """All figures."""
    import tidegate as tg
    from tests.integration.tidegate_process import TidegateProcess

    server = TidegateProcess(home)
    server.start()
    try:
        with tg.open(home) as ws:
            run_id = ws.runs.create("telemetry").id
        idle = command_times(home, seconds, PAUSE_SECONDS)
        with Load(server.port, run_id) as load:
            busy = command_times(home, seconds, PAUSE_SECONDS)
            before = sum(load.counts)
            steady = command_times(home, seconds, 0.0)
            logged = sum(load.counts) - before
    finally:
        server.end()
    p99 = busy[len(busy) * 99 // 100]
    return {
        "writes of the server, /s": logged / seconds,
        "writes of a command without a pause, /s": len(steady) / seconds,
        "its share of all writes": len(steady) / (len(steady) + logged),
        "a command's write, ms p50": busy[len(busy) // 2],
        "a command's write, ms p99": p99,
        "a command's write, ms worst": busy[-1],
        "the same with the server idle, ms p99": idle[len(idle) * 99 // 100],
        "ratio of the p99": p99 / idle[len(idle) * 99 // 100],
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each part")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        figures = measure(Path(folder) / "home", options.seconds)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        aim = f"   (aim <= {AIM_P99:g})" if name == "a command's write, ms p99" else ""
        print(f"{name:42} {value:12,.2f}{aim}")


if __name__ == "__main__":
    main()
