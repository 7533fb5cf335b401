"""Brief calls of the MLflow client run on the event loop while nobody writes, and never keep it waiting."""

import asyncio
import fcntl
import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tidegate.compat.mlflow.routes import MOST_BRIEF_BYTES, MlflowRest
from tidegate.http.server import application
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.workspace import LocalWorkspace, open_local

ROOT = "/api/2.0/mlflow/"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[LocalWorkspace]:
    with open_local(Settings(home=str(tmp_path / "home"))) as opened:
        yield opened


@contextmanager
def another_process_writes(workspace: LocalWorkspace) -> Iterator[None]:
    """A descriptor of its own locks as another process does."""
    with (Path(workspace.settings.home) / "write.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def post(url: str, path: str, body: object) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def health(url: str) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    connection.request("GET", "/health")
    status = connection.getresponse().status
    connection.close()
    return status


def new_run(url: str) -> str:
    status, answer = post(url, ROOT + "runs/create", {"experiment_id": "0"})
    assert status == 200, answer
    return str(answer["run"]["info"]["run_id"])


BRIEF: list[tuple[str, dict[str, Any]]] = [
    ("runs/log-metric", {"key": "loss", "value": 0.5, "timestamp": 1_700_000_000_000, "step": 1}),
    ("runs/log-parameter", {"key": "rate", "value": "0.1"}),
    ("runs/set-tag", {"key": "team", "value": "risk"}),
]


def logged(workspace: LocalWorkspace, run_id: str) -> tuple[list[str], list[str], str | None]:
    run = workspace.runs.get(run_id)
    return list(run.metrics), list(run.params), run.tags.get("team")


def test_while_another_process_writes_they_wait_beside_the_loop(workspace: LocalWorkspace) -> None:
    with serving(workspace) as url, ThreadPoolExecutor(len(BRIEF)) as pool:
        run_id = new_run(url)
        with another_process_writes(workspace):
            calls = [pool.submit(post, url, ROOT + path, {"run_id": run_id, **body}) for path, body in BRIEF]
            time.sleep(0.3)
            assert health(url) == 200, "the loop is free"
            assert not any(call.done() for call in calls)
        assert [call.result(20) for call in calls] == [(200, {})] * len(BRIEF)
    assert logged(workspace, run_id) == (["loss"], ["rate"], "risk")


def test_while_nobody_writes_they_need_no_thread(workspace: LocalWorkspace) -> None:
    app = application(workspace)
    rest = app._next
    assert isinstance(rest, MlflowRest)
    with serving(workspace) as url:
        run_id = new_run(url)
    rest._threads.shutdown()  # whatever still asks for one fails
    for path, body in BRIEF:
        assert _ask(app, ROOT + path, {"run_id": run_id, **body}) == 200, path
    assert logged(workspace, run_id) == (["loss"], ["rate"], "risk")
    long = {"run_id": run_id, "key": "note", "value": "x" * MOST_BRIEF_BYTES}
    assert _ask(app, ROOT + "runs/set-tag", long) == 500, "a larger body goes to the threads"


def _ask(app: Any, path: str, body: object) -> int:
    """One call, on a loop of its own."""
    raw = json.dumps(body).encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    asyncio.run(app(scope, receive, send))
    return int(told[0]["status"])
