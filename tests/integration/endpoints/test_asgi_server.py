"""The hot path behind a real server: raw sockets, slow and aborted bodies, limits, roles, and a kill in mid-traffic."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.contract.endpoints.serving_home import ROW, ServingHome

ROOT = Path(__file__).parents[3]
BODY_BYTES = 1 << 20
PREDICT = "/api/v1/endpoints/late/predict"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A serving process over a folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        arguments = [str(folder), str(self.port), str(BODY_BYTES)]
        command = [sys.executable, "-m", "tests.integration.endpoints.serving_process", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, path: str, body: bytes | None, headers: dict[str, str] | None = None) -> "Answer":
        """POST, or GET without a body, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        kind = {"content-type": "application/json"} if body is not None else {}
        try:
            connection.request("GET" if body is None else "POST", path, body, kind | (headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()

    def send(self, *parts: bytes) -> socket.socket:
        """Bytes on a raw connection."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        for part in parts:
            raw.sendall(part)
        return raw

    def kill(self) -> None:
        """As `kill -9`."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, ServingHome]]:
    """A server, and the same home seen from here."""
    folder = tmp_path_factory.mktemp("served") / "home"
    home = ServingHome(folder)
    home.deployed("linear, text", "late")
    server = Server(folder)
    yield server, home
    server.kill()
    home.close()


def logged(home: ServingHome) -> int:
    return sum(count.predictions + count.labels for count in home.reader.count())


def head(length: int, path: str = PREDICT) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def test_predict_and_labels(served: tuple[Server, ServingHome]) -> None:
    server, home = served
    answer = server.ask(PREDICT, json.dumps({"rows": [ROW]}).encode())
    assert answer.status == 200
    [one] = answer.json["predictions"]
    label = {"prediction_id": one["id"], "value": "late", "observed_at": home.clock.now().isoformat()}
    taken = server.ask("/api/v1/endpoints/late/labels", json.dumps({"labels": [label]}).encode())
    assert (taken.status, taken.json) == (200, {"accepted": 1})
    kept = home.reader.get(one["id"])
    assert kept.label is not None
    assert (kept.model, kept.label.value) == (one["model"], "late")


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        (PREDICT, b"{", {}, 400, "invalid"),
        (PREDICT, b"", {}, 400, "invalid"),
        (PREDICT, b'{"rows": [{}]}', {"content-type": "text/csv"}, 415, "invalid"),
        (PREDICT, b'{"rows": [{}]}', {"content-encoding": "gzip"}, 415, "invalid"),
        (PREDICT + "?at=now", b'{"rows": [{}]}', {}, 400, "invalid"),
        (PREDICT, b"x" * (BODY_BYTES + 1), {}, 413, "invalid"),
        ("/api/v1/endpoints/nowhere/predict", b'{"rows": [{}]}', {}, 404, "not_found"),
        ("/api/v1/endpoints/..%2f..%2fetc/predict", b'{"rows": [{}]}', {}, 404, ""),
        ("/api/v1/endpoints/%00/predict", b'{"rows": [{}]}', {}, 404, "not_found"),
        (PREDICT, b'{"rows": [{}]}', {"authorization": "Basic x"}, 401, "unauthenticated"),
        (PREDICT, b'{"rows": [{}]}', {"authorization": "Bearer viewer"}, 403, "forbidden"),
        (PREDICT, b'{"rows": [{}]}', {"authorization": "Bearer stranger"}, 403, "forbidden"),
    ],
)
def test_what_is_refused_leaves_no_row(
    served: tuple[Server, ServingHome], path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    server, home = served
    before = logged(home)
    answer = server.ask(path, body, headers)
    assert answer.status == status
    if code:
        assert answer.json["code"] == code
        assert set(answer.json) == {"code", "message", "details"}
    assert logged(home) == before


def test_a_body_that_is_announced_too_large_is_not_read(served: tuple[Server, ServingHome]) -> None:
    raw = served[0].send(head(10 << 30))
    assert raw.recv(4096).startswith(b"HTTP/1.1 413")
    raw.close()


def test_a_body_without_a_length_is_cut_at_the_limit(served: tuple[Server, ServingHome]) -> None:
    server, home = served
    before = logged(home)
    start = (
        f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    raw = server.send(start.encode())
    piece = b"%x\r\n%s\r\n" % (1 << 16, b" " * (1 << 16))
    answer = b""
    try:
        for _ in range((BODY_BYTES >> 16) + 64):
            raw.sendall(piece)
    except OSError:  # it closed while we were sending
        pass
    try:
        answer = raw.recv(4096)
    except ConnectionError:
        pass
    raw.close()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert logged(home) == before
    assert server.ask(PREDICT, json.dumps({"rows": [ROW]}).encode()).status == 200


def test_a_slow_body_is_answered_when_it_is_whole(served: tuple[Server, ServingHome]) -> None:
    server, home = served
    before = logged(home)
    body = json.dumps({"rows": [ROW]}).encode()
    raw = server.send(head(len(body)), body[:20])
    assert server.ask(PREDICT, body).status == 200, "others are not held up"
    assert logged(home) == before + 1
    raw.sendall(body[20:])
    assert raw.recv(4096).startswith(b"HTTP/1.1 200")
    assert logged(home) == before + 2
    raw.close()


def test_an_aborted_body_leaves_no_row(served: tuple[Server, ServingHome]) -> None:
    server, home = served
    before = logged(home)
    whole = json.dumps({"rows": [ROW]}).encode()
    for body in (whole, whole[:-1], b""):
        raw = server.send(head(len(whole) + 1), body)  # one byte is missing
        raw.close()
    assert server.ask(PREDICT, whole).status == 200
    assert logged(home) == before + 1


def test_law_4_batches_do_not_hold_up_the_loop(served: tuple[Server, ServingHome]) -> None:
    server, home = served
    before = logged(home)
    batch = json.dumps({"rows": [ROW] * 5_000}).encode()
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(server.ask(PREDICT, batch).status)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 3
    assert logged(home) == before + 15_000


def test_traffic_is_counted(served: tuple[Server, ServingHome]) -> None:
    server, _ = served
    server.ask(PREDICT, json.dumps({"rows": [ROW]}).encode())
    server.ask("/api/v1/endpoints/nowhere/predict", json.dumps({"rows": [ROW]}).encode())
    counted = {tuple(line.split(" ")[:3]) for line in server.ask("/traffic", None).body.decode().splitlines()}
    assert ("late", "predict", "ok") in counted
    assert ("", "predict", "not_found") in counted


def test_kill_in_mid_traffic_loses_no_answered_prediction(tmp_path: Path) -> None:
    home = ServingHome(tmp_path / "home")
    home.deployed("linear, text", "late")
    server = Server(tmp_path / "home")
    answered: list[str] = []

    def ask() -> None:
        body = json.dumps({"rows": [ROW, ROW]}).encode()
        try:
            while True:
                answer = server.ask(PREDICT, body)
                answered.extend(one["id"] for one in answer.json["predictions"])
        except (OSError, http.client.HTTPException):  # it was killed
            pass

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(answered) < 200:
        threads[0].join(0.01)
    server.kill()
    for thread in threads:
        thread.join()
    kept = home.reader.scan("late").collect()["id"].to_list()
    assert len(kept) == len(set(kept))
    assert set(answered) <= set(kept)
    home.close()
