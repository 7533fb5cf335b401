"""Predictions through the server (validated, routed, logged `acked`) beside the same ONNX model on bare ASGI.

Run it as `python benchmarks/predict.py [--seconds S] [--json]`. Both servers run in turns under the same uvicorn
settings, one process each, asked over 16 connections that stay open: by wrk where it is installed, else by a small
client of our own. The ratio is ours to the limit's: 1.0 is perfect.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numpy as np

CONNECTIONS = 16
ROUNDS = 3
COLUMNS = 30
ROW = {f"x{index}": round(0.37 * index - 5.0, 2) for index in range(COLUMNS)}
PATH = "/api/v1/endpoints/late/predict"
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Load(NamedTuple):
    """What a client saw: requests a second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    cpu: float = 0.0
    """Microseconds of processor time that the server spent on a request: what a busy machine distorts least."""


class Trained(NamedTuple):
    """Rows that the model was trained on."""

    X: Any
    digest: str = "0" * 64
    lineage: tuple[Any, ...] = ()


def prepare(home: Path) -> Path:
    """A home with the endpoint `late`, and beside it the ONNX file that it serves."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import tidegate.workspace as tg
    from tidegate.kernel.settings import Settings
    from tidegate.models.records import StagePolicy

    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(2000, COLUMNS)).astype(np.float32)
    late = matrix @ rng.normal(size=COLUMNS) + rng.normal(size=2000) > 0
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, np.where(late, "late", "on time"))
    with tg.open_local(Settings(home=str(home))) as space:
        version = space.models.log("late", model, inputs=Trained(matrix))
        assert version.runtime == "onnx", version.manifest.facts
        space.models.set_policy("late", "production", policy=StagePolicy())
        space.models.promote("late", version.number, to="production")
        space.endpoints.deploy("late", version)
        file = home / "model.onnx"
        file.write_bytes(space.objects.get(version.manifest.files["model.onnx"]))
    return file


def start(port: int, home: Path, limit: Path | None) -> subprocess.Popen[bytes]:
    """A server of ours over the home, or the limit over a file; it listens when this returns."""
    if limit is not None:
        command = [sys.executable, str(Path(__file__).with_name("_predict_limit.py")), str(port), str(limit)]
        message = b""
    else:
        import msgspec

        from tidegate.kernel.settings import Settings

        command = [sys.executable, "-m", "tidegate.http.server"]
        message = msgspec.json.encode(Settings(home=str(home), port=port)) + b"\n"
    server = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **THREADS})
    assert server.stdin is not None
    server.stdin.write(message)
    server.stdin.flush()
    give_up = perf_counter() + 60
    while perf_counter() < give_up:
        try:
            ask(port)
        except OSError:
            assert server.poll() is None, "the server ended"
            sleep(0.1)
        else:
            return server
    raise TimeoutError("the server does not answer")


def ask(port: int) -> dict[str, Any]:
    """One answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}", body_of(1), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def body_of(rows: int) -> bytes:
    """The body of a request."""
    return json.dumps({"rows": [ROW] * rows}).encode()


class Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one has arrived."""

    def __init__(self, request: bytes, times: list[float], until: float) -> None:
        self._request, self._times, self._until = request, times, until
        self._left = -1
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._send()

    def _send(self) -> None:
        self._sent = perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            if not data.startswith(b"HTTP/1.1 200"):
                self.closed.set_exception(RuntimeError(data[:300].decode()))
                self._transport.abort()
                return
            head = data.index(b"\r\n\r\n")
            start = data.lower().index(b"content-length:", 0, head) + 15
            self._left = int(data[start : data.index(b"\r\n", start)]) + head + 4
        self._left -= len(data)
        if self._left == 0:
            self._left = -1
            now = perf_counter()
            self._times.append(now - self._sent)
            if now < self._until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_exception(exc) if exc is not None else self.closed.set_result(None)


async def _load(port: int, rows: int, seconds: float) -> list[float]:
    body = body_of(rows)
    lines = [f"POST {PATH} HTTP/1.1", "host: localhost", "content-type: application/json"]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""])
    times: list[float] = []
    until = perf_counter() + seconds
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(head.encode() + body, times, until), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    for connection in connections:
        await connection.closed
    return times


def client(port: int, rows: int, seconds: float) -> Load:
    """Load by the client of our own."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        began = perf_counter()
        times = sorted(runner.run(_load(port, rows, seconds)))
        took = perf_counter() - began
    return Load(len(times) / took, times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3)


def wrk(port: int, rows: int, seconds: float, folder: Path) -> Load:
    """Load by wrk."""
    script = folder / f"body{rows}.lua"
    lines = ["wrk.method = 'POST'", "wrk.headers['content-type'] = 'application/json'"]
    script.write_text("\n".join([*lines, f"wrk.body = [==[{body_of(rows).decode()}]==]", ""]))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency", "-s", str(script)]
    told = subprocess.run([*command, f"http://127.0.0.1:{port}{PATH}"], capture_output=True, text=True, check=True)
    spans = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", told.stdout, re.MULTILINE))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told.stdout)
    assert rate is not None, told.stdout
    assert "Non-2xx" not in told.stdout, told.stdout
    return Load(float(rate[1]), _milliseconds(spans["50"]), _milliseconds(spans["99"]))


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def resident_megabytes(process: subprocess.Popen[bytes]) -> float:
    """Memory of a process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def costed(
    server: subprocess.Popen[bytes], seconds: float, load: Callable[[int, int], Load], port: int, rows: int
) -> Load:
    """A load, and what it cost the server."""
    before = processor_seconds(server)
    seen = load(port, rows)
    return seen._replace(cpu=(processor_seconds(server) - before) / (seen.rate * seconds) * 1e6)


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Both servers under the same load, in turns."""
    from tidegate.http.address import listen

    home = folder / "home"
    onnx = prepare(home)
    ports = []
    for _ in range(2):
        with listen("127.0.0.1", 0) as probe:
            ports.append(probe.getsockname()[1])
    began = perf_counter()
    servers = [start(ports[0], home, None)]
    ready = perf_counter() - began
    servers.append(start(ports[1], home, onnx))
    mine, limit = ask(ports[0])["predictions"][0], ask(ports[1])["predictions"][0]
    assert mine["value"] == limit["value"]
    assert abs(mine["probabilities"]["late"] - limit["probabilities"]["late"]) < 1e-6

    def load(port: int, rows: int) -> Load:
        return wrk(port, rows, seconds, folder) if shutil.which("wrk") else client(port, rows, seconds)

    found: dict[str, Any] = {"client": "wrk" if shutil.which("wrk") else "ours", "ready_seconds": ready}
    try:
        for rows in (1, 32):
            for port in ports:
                load(port, rows)  # warm
            rounds = [
                [costed(server, seconds, load, port, rows) for server, port in zip(servers, ports, strict=True)]
                for _ in range(ROUNDS)
            ]
            for name, index in (("ours", 0), ("limit", 1)):
                middle = statistics.median_low([turn[index].rate for turn in rounds])
                found[f"{name}, {rows} rows"] = next(t[index] for t in rounds if t[index].rate == middle)._asdict()
            found[f"ratio, {rows} rows"] = statistics.median(turn[0].rate / turn[1].rate for turn in rounds)
            found[f"cpu ratio, {rows} rows"] = min(turn[1].cpu for turn in rounds) / min(turn[0].cpu for turn in rounds)
        found["resident_megabytes"] = dict(zip(("ours", "limit"), map(resident_megabytes, servers), strict=True))
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
            server.wait(20)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one load")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arguments.seconds)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"client: {found['client']}, {CONNECTIONS} connections, {ROUNDS} rounds of {arguments.seconds} s")
    for rows in (1, 32):
        for name in ("ours", "limit"):
            load = Load(**found[f"{name}, {rows} rows"])
            print(
                f"{name:6} {rows:3} rows: {load.rate:8,.0f} requests/s, p50 {load.p50:.2f} ms, p99 {load.p99:.2f} ms, "
                f"{load.cpu:.0f} us of processor time a request"
            )
        ratio, cpu = found[f"ratio, {rows} rows"], found[f"cpu ratio, {rows} rows"]
        print(f"ratio  {rows:3} rows: {ratio:.2f} by requests/s, {cpu:.2f} by processor time")
    memory = found["resident_megabytes"]
    print(f"memory: ours {memory['ours']:.0f} MB, limit {memory['limit']:.0f} MB")
    print(f"answers after {found['ready_seconds']:.1f} s")


if __name__ == "__main__":
    main()
