"""What a call of an operation costs above the store's own work: local, over the wire in one process, and over HTTP.

Run it as `python benchmarks/operations.py [--rounds N] [--json]`. One operation that reads (`runs.get`) and one that
writes (`runs.log`) are called in turns with the bare calls of the store that they end in; over HTTP they stand beside
a bare Starlette route that answers the same bytes under the same uvicorn settings. Microseconds, the median of the
rounds' medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from time import perf_counter_ns, sleep

import tidegate as tg

ROOT = Path(__file__).parent.parent
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
JSON = {"content-type": "application/json"}
WARM = 100

Ask = Callable[[], object]


def median_of(ask: Ask, calls: int) -> float:
    """Microseconds of one call."""
    spent = []
    for _ in range(calls):
        begun = perf_counter_ns()
        ask()
        spent.append(perf_counter_ns() - begun)
    return statistics.median(spent) / 1000


def in_turns(asks: dict[str, Ask], rounds: int, calls: int) -> dict[str, float]:
    """Each call's microseconds, all having met the same weather."""
    for ask in asks.values():
        median_of(ask, WARM)
    found: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(rounds):
        for name, ask in asks.items():
            found[name].append(median_of(ask, calls))
    return {name: statistics.median(medians) for name, medians in found.items()}


@contextmanager
def process(command: list[str], message: bytes) -> Iterator[None]:
    """A server in a process of its own."""
    running = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **THREADS}, cwd=ROOT)
    assert running.stdin is not None
    running.stdin.write(message)
    running.stdin.flush()
    try:
        yield
    finally:
        running.terminate()
        running.wait(20)


def connect(port: int, path: str) -> HTTPConnection:
    """A connection that stays open, once the server answers."""
    for _ in range(600):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except OSError:
            connection.close()
            sleep(0.05)
        else:
            return connection
    raise TimeoutError(f"nobody answers at port {port}")


def asker(connection: HTTPConnection, method: str, path: str, body: Callable[[], bytes | None]) -> Ask:
    """One exchange over an open connection."""

    def exchange(content: bytes | None) -> HTTPResponse:
        connection.request(method, path, content, JSON if content is not None else {})
        return connection.getresponse()

    def ask() -> bytes:
        content = body()
        try:
            reply = exchange(content)
        except (ConnectionError, HTTPException):  # closed while the others had their turns
            connection.close()
            reply = exchange(content)
        answer = reply.read()
        assert reply.status == 200, answer
        return answer

    return ask


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on."""
    from tidegate.http.address import listen

    with listen("127.0.0.1", 0) as first, listen("127.0.0.1", 0) as second:
        return first.getsockname()[1], second.getsockname()[1]


def measure(home: Path, rounds: int) -> dict[str, float]:
    """All figures by name."""
    import msgspec

    from tidegate.kernel import wire
    from tidegate.kernel.settings import Settings
    from tidegate.runs.records import Metric
    from tidegate.runs.store import SqlRuns
    from tidegate.workspace import open_local

    with ExitStack() as stack:
        space = stack.enter_context(open_local(Settings(home=str(home))))
        run = space.runs.create("bench", params={"C": 1.0, "solver": "lbfgs"})
        store, catalog = SqlRuns(space.storage.catalog, space.storage.machine, 600), space.storage.catalog
        steps = iter(range(1 << 60))

        def metric() -> Metric:
            return Metric(name="loss", value=0.25, step=next(steps), at=run.started_at)

        def bare_write() -> None:
            def work() -> None:
                store.hold(run.id)
                store.add_metrics(run.id, [metric()])

            catalog.write(work, durable=False)

        def body() -> bytes:
            return msgspec.json.encode({"metrics": [{"name": "loss", "value": 0.25, "step": next(steps)}]})

        port, bare_port = free_ports()
        serving = [sys.executable, "-m", "tidegate.http.server"]
        stack.enter_context(process(serving, msgspec.json.encode(Settings(home=str(home), port=port)) + b"\n"))
        answer = wire.encode(space.runs.get(run.id), type(run)) + b"\n"
        limit = [sys.executable, str(Path(__file__).with_name("_bare_route.py")), str(bare_port)]
        stack.enter_context(process(limit, answer))
        path = f"/api/v1/runs/{run.id}"
        http, bare = connect(port, path), connect(bare_port, "/bare")
        remote = stack.enter_context(tg.open(f"http://127.0.0.1:{port}"))
        return in_turns(
            {
                "read: authority": lambda: space.authority.roles("local"),
                "read: store": lambda: store.get(run.id),
                "read: local": lambda: space.runs.get(run.id),
                "read: wire": lambda: space.wire.runs.get(run.id),
                "read: bare route": asker(bare, "GET", "/bare", lambda: None),
                "read: HTTP": asker(http, "GET", path, lambda: None),
                "read: remote client": lambda: remote.runs.get(run.id),
                "write: store": bare_write,
                "write: local": lambda: space.runs.log(run.id, metrics=(metric(),)),
                "write: wire": lambda: space.wire.runs.log(run.id, metrics=(metric(),)),
                "write: bare route": asker(bare, "POST", "/bare", body),
                "write: HTTP": asker(http, "POST", f"{path}/log", body),
                "write: remote client": lambda: remote.runs.log(run.id, metrics=(metric(),)),
            },
            rounds,
            300,
        )


def table(figures: dict[str, float]) -> Iterator[str]:
    """One line a way of calling, with what it costs above the store and the bare route."""
    yield f"{'':8}{'way':16}{'us':>9}{'above':>10}  {'compared with'}"
    for kind in ("read", "write"):
        store, bare = figures[f"{kind}: store"], figures[f"{kind}: bare route"]
        for way, limit, beside in (
            *([("authority", None, "looking up the caller's roles, which every call does")] if kind == "read" else []),
            ("store", None, "the store's own calls, bare"),
            ("local", store, "the store"),
            ("wire", store, "the store"),
            ("bare route", None, "Starlette alone, the same answer"),
            ("HTTP", store + bare, "the store and the bare route"),
            ("remote client", store + bare, "the store and the bare route"),
        ):
            value = figures[f"{kind}: {way}"]
            above = f"{value - limit:+9.0f}" if limit is not None else " " * 9
            ratio = f", {value / limit:.2f} times" if limit is not None else ""
            yield f"{kind:8}{way:16}{value:9.0f} {above}  {beside}{ratio}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        figures = measure(Path(folder) / "home", options.rounds)
    print(
        json.dumps({name: round(value, 1) for name, value in figures.items()})
        if options.json
        else "\n".join(table(figures))
    )


if __name__ == "__main__":
    main()
