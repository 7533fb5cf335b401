"""What servers of this protocol were attacked with, one class after the other, on both prefixes.

Traversal, places that a client may not name, requests in somebody else's name, pages that a browser would run, files
that would run when they are read, and requests that cost too much. What is refused leaves nothing behind.
"""

import io
import json
import os
import pickle
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.contract.compat.mlflow_client import Client
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local

PREFIXES = ("/api", "/ajax-api")
JSON = {"content_type": "application/json"}


class Attacked(NamedTuple):
    """A client of a server, and the folder of its home."""

    client: Client
    home: Path


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    home = tmp_path_factory.mktemp("attacked") / "home"
    with open_local(Settings(home=str(home))) as workspace, serving(workspace) as url:
        yield Attacked(Client(url), home)


@pytest.fixture
def client(attacked: Attacked) -> Client:
    return attacked.client


def told(raw: bytes) -> str:
    """The error code of an answer."""
    return str(json.loads(raw)["error_code"])


TRAVERSALS = [
    "../../etc/passwd",
    "../" * 20 + "etc/passwd",
    "..\\..\\windows\\win.ini",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "..%c0%af..%c0%afetc/passwd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "C:/windows/win.ini",
    "C:\\windows\\win.ini",
    "file:///etc/passwd",
    "a/./b",
    "a/../../b",
    "a%00.txt",
    "a%0d%0aset-cookie:x",
    ".",
    "..",
    "~/.ssh/id_rsa",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_reads_or_writes_a_file_of_the_server(client: Client, prefix: str, path: str) -> None:
    run_id = client.run()
    for verb in ("artifacts", "mpu/part", "presigned"):
        at = f"{prefix}/2.0/mlflow-artifacts/{verb}/0/{run_id}/artifacts/{quote(path, safe='/%:')}"
        for method in ("GET", "DELETE", *(["PUT"] if path not in ("~/.ssh/id_rsa", "C:/windows/win.ini") else [])):
            status, _, raw = client.raw(method, at, b"x" if method == "PUT" else b"")
            assert status in (400, 404, 501), (method, at, raw)
            assert b"root:" not in raw
    listed = client.raw("GET", f"{prefix}/2.0/mlflow/artifacts/list?run_id={run_id}&path={quote(path, safe='%')}")
    assert listed[0] == 400 or json.loads(listed[2])["files"] == []
    proxied = client.raw("GET", f"{prefix}/2.0/mlflow-artifacts/artifacts?path={quote(path, safe='%')}")
    assert proxied[0] in (400, 404), proxied
    assert client.get(f"artifacts/list?run_id={run_id}")[1]["files"] == []


PLACES = [
    "file:///etc",
    "/etc",
    "file:etc",
    "etc",
    "http:///#/../../etc/",
    "http:///?/../../etc/",
    "http://169.254.169.254/latest/meta-data/;..",
    "ftp://169.254.169.254/",
    "sftp://127.0.0.1/",
    "hdfs://127.0.0.1:9000/",
    "abfss://a@169.254.169.254/",
    "s3://somebody/else",
    "runs:/other/model",
    "models:/m-x",
    "mlflow-artifacts://127.0.0.1:5000/0",
    "dbfs:/x",
    "\\\\host\\share",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("place", PLACES)
def test_no_client_says_where_artifacts_lie(client: Client, prefix: str, place: str) -> None:
    root = f"{prefix}/2.0/mlflow/"
    status, answer = client.post("experiments/create", {"name": f"in {place}", "artifact_location": place}, root)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert client.get(f"experiments/get-by-name?experiment_name={quote(f'in {place}')}", root)[0] == 404
    run_id = client.run(tags=[{"key": "mlflow.artifactUri", "value": place}], artifact_uri=place)
    info = client.get(f"runs/get?run_id={run_id}", root)[1]["run"]["info"]
    assert info["artifact_uri"] == f"mlflow-artifacts:/0/{run_id}/artifacts"


def test_an_address_that_a_client_names_is_never_visited(client: Client) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        run_id = client.run(tags=[{"key": "mlflow.source.name", "value": address}])
        dataset = {"name": "a", "digest": "1", "source_type": "http", "source": json.dumps({"url": address})}
        for root in ("/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"):
            assert (
                client.post("runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": dataset}]}, root)[0] == 200
            )
            client.post("experiments/create", {"name": "x", "artifact_location": address}, root)
            client.get(f"runs/get?run_id={run_id}", root)
            for path in ("webhooks/create", "gateway-proxy"):
                assert client.post(path, {"url": address, "gateway_path": address}, root)[0] == 404
        with pytest.raises(BlockingIOError):
            listener.accept()


ABSENT = [
    ("POST", "jobs/"),
    ("POST", "mlflow/webhooks/create"),
    ("POST", "mlflow/gateway-proxy"),
    ("POST", "mlflow/users/create"),
    ("GET", "mlflow/users/get"),
    ("POST", "mlflow/traces"),
    ("POST", "mlflow/graphql"),
    ("POST", "mlflow/assistant/message"),
    ("POST", "mlflow/datasets/create"),
    ("GET", "mlflow/gateway/endpoints"),
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("method", "path"), ABSENT)
def test_what_is_not_answered_is_no_door(client: Client, prefix: str, method: str, path: str) -> None:
    for version in ("2.0", "3.0"):
        for spelt in (path, f"/{path}", f"{path}/", path.replace("/", "//")):
            status, _, raw = client.raw(method, f"{prefix}/{version}/{spelt}", b"{}", **JSON)
            assert (status, told(raw)) == (404, "ENDPOINT_NOT_FOUND"), spelt


def every_call(run_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every call that is answered, with what it needs to get as far as the question of who may."""
    run, home = {"run_id": run_id, "key": "a", "value": "1"}, {"experiment_id": "0", "key": "a", "value": "1"}
    at = f"mlflow-artifacts/artifacts/0/{run_id}/artifacts/a"
    parts = f"mlflow-artifacts/mpu/{{}}/0/{run_id}/artifacts"
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "mlflow/experiments/create", {"name": "theirs"}),
        ("POST", "mlflow/experiments/update", {"experiment_id": "0", "new_name": "theirs"}),
        ("POST", "mlflow/experiments/delete", home),
        ("POST", "mlflow/experiments/set-experiment-tag", home),
        ("POST", "mlflow/experiments/delete-experiment-tag", home),
        ("POST", "mlflow/runs/create", {"experiment_id": "0"}),
        ("POST", "mlflow/runs/update", {"run_id": run_id, "status": "FAILED"}),
        ("POST", "mlflow/runs/delete", run),
        ("POST", "mlflow/runs/restore", run),
        ("POST", "mlflow/runs/set-tag", run),
        ("POST", "mlflow/runs/delete-tag", run),
        ("POST", "mlflow/runs/log-parameter", run),
        ("POST", "mlflow/runs/log-metric", {"run_id": run_id, "key": "a", "value": 1, "timestamp": 1}),
        ("POST", "mlflow/runs/log-inputs", {"run_id": run_id, "datasets": []}),
        ("POST", "mlflow/runs/log-batch", {"run_id": run_id}),
        ("PUT", at, {}),
        ("DELETE", at, {}),
        ("PUT", parts.format("part") + "/a?part=1", {}),
        ("POST", parts.format("create"), {"path": "a", "num_parts": 1}),
        ("POST", parts.format("complete"), {"path": "a", "parts": [{"part_number": 1, "etag": "0" * 64}]}),
        ("POST", parts.format("abort"), {"path": "a"}),
    ]
    return writes


READS = ["experiments/get?experiment_id=0", "runs/get?run_id={}", "artifacts/list?run_id={}", "server-info"]
READS += ["metrics/get-history?run_id={}&metric_key=a", "metrics/get-history-bulk?run_id={}&metric_key=a"]


def test_whoever_is_unknown_or_may_only_look_changes_nothing(tmp_path: Path) -> None:
    with open_local(Settings(home=str(tmp_path / "home"), auth="token")) as workspace, serving(workspace) as url:
        client = Client(url)
        run = workspace.runs.create("0", tags={"a": "theirs"})
        viewer = f"Bearer {workspace.people.add('reader', role='viewer').token}"
        for prefix in PREFIXES:
            for method, path, body in every_call(run.id):
                raw_body = json.dumps(body).encode()
                for spelt in (path, path.replace("?", "/?") if "?" in path else path + "/"):
                    for wrong in ({}, {"authorization": "Bearer nobody's"}, {"authorization": "Basic YTpi"}):
                        status, _, raw = client.raw(method, f"{prefix}/2.0/{spelt}", raw_body, **JSON, **wrong)
                        assert (status, told(raw)) == (401, "UNAUTHENTICATED"), (path, wrong)
                status, _, raw = client.raw(method, f"{prefix}/2.0/{path}", raw_body, **JSON, authorization=viewer)
                assert (status, told(raw)) in ((403, "PERMISSION_DENIED"), (400, "INVALID_PARAMETER_VALUE")), (
                    path,
                    raw,
                )
            for read in READS:
                for method in ("GET", "HEAD", "OPTIONS"):
                    status, _, _ = client.raw(method, f"{prefix}/2.0/mlflow/{read.format(run.id)}")
                    assert status == 401, (method, read)
                path = f"{prefix}/2.0/mlflow/{read.format(run.id)}"
                assert client.raw("GET", path, authorization=viewer)[0] == 200, read
        assert workspace.runs.get(run.id) == run
        assert [one.id for one in workspace.runs.list().items] == [run.id]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_page_of_another_site_writes_or_reads(client: Client, prefix: str) -> None:
    path, body = f"{prefix}/2.0/mlflow/runs/create", b'{"experiment_id": "0", "run_name": "forged"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert client.raw("POST", path, body, content_type=kind)[0] == 415
    for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example", "https://localhost.evil.example"):
        status, headers, raw = client.raw("POST", path, body, **JSON, origin=origin)
        assert (status, told(raw)) == (403, "PERMISSION_DENIED"), origin
        assert "access-control-allow-origin" not in headers
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "169.254.169.254"):
        for method, at, sent in (
            ("POST", path, body),
            ("GET", f"{prefix}/2.0/mlflow/experiments/get?experiment_id=0", b""),
        ):
            assert client.raw(method, at, sent, **JSON, host=host)[0] in (400, 403, 421), host
    found = client.post("runs/search", {"experiment_ids": ["0"], "filter": "run_name = 'forged'"})[1]["runs"]
    assert found == []


PAGES = {
    "page.html": b"<script>alert(1)</script>",
    "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "code.js": b"alert(1)",
    "model/MLmodel": b"flavors: !!js/function 'function() { alert(1) }'",
    "a.xhtml": b'<html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>',
    'quote".html': b"x",
    "a.html;x=y": b"x",
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", PAGES)
def test_what_somebody_uploaded_is_a_download_that_no_browser_runs(client: Client, prefix: str, name: str) -> None:
    at = f"{prefix}/2.0/mlflow-artifacts/artifacts/0/{client.run()}/artifacts/{quote(name)}"
    assert client.raw("PUT", at, PAGES[name], content_type="text/html")[0] == 200
    status, headers, body = client.raw("GET", at)
    assert (status, body) == (200, PAGES[name])
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert '"' not in headers["content-disposition"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_what_would_run_or_unpack_is_kept_as_bytes(attacked: Attacked, tmp_path: Path) -> None:
    client, run_id = attacked.client, attacked.client.run()
    marker, packed = tmp_path / "touched", io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("../../escaped", "/absolute"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    files = {"model/model.pkl": pickle.dumps(Touch(marker)), "code.tar.gz": packed.getvalue()}
    before = set(os.listdir(tempfile.gettempdir()))  # noqa: PTH208 - names alone
    for name, content in files.items():
        for prefix in PREFIXES:
            at = f"{prefix}/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/{name}"
            assert client.raw("PUT", at, content)[0] == 200
            assert client.raw("GET", at)[2] == content
    listed = client.get(f"artifacts/list?run_id={run_id}")[1]["files"]
    assert [one["path"] for one in listed] == ["code.tar.gz", "model"]
    assert not marker.exists()
    new = set(os.listdir(tempfile.gettempdir())) - before  # noqa: PTH208
    assert not [name for name in new if "mlflow" in name or "artifact" in name], "nothing lies where others may write"
    assert not attacked.home.stat().st_mode & 0o022


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_would_cost_too_much_is_refused_at_once(client: Client, prefix: str) -> None:
    root, run_id = f"{prefix}/2.0/mlflow/", client.run()
    for text in (
        "(" * 2000 + "metrics.a > 1" + ")" * 2000,
        "NOT " * 2000 + "metrics.a > 1",
        " AND ".join(["metrics.a > 1"] * 5000),
        f"params.a LIKE '{'%a' * 500}'",
        f"params.a IN ({','.join(['1'] * 5000)})",
        "x" * 70_000,
    ):
        status, answer = client.post("runs/search", {"experiment_ids": ["0"], "filter": text}, root)
        assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), text[:40]
        assert client.post("experiments/search", {"filter": text}, root)[0] == 400
    searches: list[dict[str, Any]] = [
        {"max_results": 10**9},
        {"max_results": -1},
        {"order_by": ["metrics.a"] * 1000},
        {"page_token": "x" * 100_000},
        {"experiment_ids": [str(number) for number in range(20_000)]},
    ]
    for body in searches:
        assert client.post("runs/search", {"experiment_ids": ["0"]} | body, root)[0] == 400, body
    point = {"key": "a", "value": 1, "timestamp": 1}
    assert client.post("runs/log-batch", {"run_id": run_id, "metrics": [point] * 100_000}, root)[0] == 400
    assert client.raw("POST", f"{root}runs/log-batch", b"[" * (9 << 20), **JSON)[0] == 413
    assert client.raw("POST", f"{root}runs/log-batch", b"x", **JSON, content_encoding="gzip")[0] == 415
    assert client.raw("POST", f"{root}runs/log-batch", b"{" + b'"a":{' * 100_000, **JSON)[0] == 400
    many = "&".join(f"run_id={run_id}" for _ in range(101))
    assert client.get(f"metrics/get-history-bulk?metric_key=a&{many}", root)[0] == 400
    parts = json.dumps({"path": "a", "num_parts": 10**9}).encode()
    at = f"{prefix}/2.0/mlflow-artifacts/mpu/create/0/{run_id}/artifacts"
    assert client.raw("POST", at, parts, **JSON)[0] == 400
    assert client.get(f"runs/get?run_id={run_id}")[1]["run"]["data"]["metrics"] == []
