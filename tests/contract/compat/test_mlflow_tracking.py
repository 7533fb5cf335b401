"""MLflow's REST protocol byte by byte: shapes, error codes, leniency, hostile requests; on both databases."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.contract.compat.mlflow_client import Client
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local


def test_both_prefixes_and_versions_answer(client: Client) -> None:
    for prefix in ("api", "ajax-api"):
        for version in ("2.0", "3.0"):
            root = f"/{prefix}/{version}/mlflow/"
            assert client.get("experiments/get?experiment_id=0", root)[1]["experiment"]["name"] == "Default"
            assert client.get("server-info", root)[1]["workspaces_enabled"] is False


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "mlflow/traces"),
        ("GET", "mlflow/prompts/get"),
        ("POST", "mlflow/runs/get"),
        ("GET", "mlflow/runs/create"),
        ("GET", "mlflow/runs/get/"),
        ("GET", "mlflow//runs/get"),
        ("PATCH", "mlflow-artifacts/artifacts/0/x/artifacts/a"),
        ("HEAD", "mlflow/runs/get"),
        ("OPTIONS", "mlflow/runs/create"),
        ("GET", ""),
    ],
)
def test_what_is_not_answered_says_so(client: Client, method: str, path: str) -> None:
    status, _, body = client.raw(method, f"/api/2.0/{path}")
    assert status == 404
    assert method == "HEAD" or json.loads(body)["error_code"] == "ENDPOINT_NOT_FOUND"


def test_a_run_has_the_protocols_shape(client: Client) -> None:
    run_id = client.run(start_time="1700000000123", run_name="first", tags=[{"key": "a", "value": "b"}], unheard_of=1)
    batch = {
        "run_id": run_id,
        "metrics": [
            {"key": "m", "value": "NaN", "timestamp": 1, "step": "2"},
            {"key": "m", "value": 5, "timestamp": 1, "step": 1},
            {"key": "n", "value": "-Infinity", "timestamp": "3"},
        ],
        "params": [{"key": "p", "value": ""}],
    }
    assert client.post("runs/log-batch", batch) == (200, {})
    info = client.get(f"runs/get?run_id={run_id}")[1]["run"]["info"]
    experiment = {"experiment_id": "0", "user_id": "local", "lifecycle_stage": "active"}
    names = {"run_id": run_id, "run_uuid": run_id, "run_name": "first", "status": "RUNNING"}
    place = f"mlflow-artifacts:/0/{run_id}/artifacts"
    assert info == {**names, **experiment, "start_time": 1700000000123, "artifact_uri": place}
    data = client.get(f"runs/get?run_uuid={run_id}")[1]["run"]["data"]
    assert data["params"] == [{"key": "p", "value": ""}]
    assert data["metrics"] == [
        {"key": "m", "value": "NaN", "timestamp": 1, "step": 2},
        {"key": "n", "value": "-Infinity", "timestamp": 3, "step": 0},
    ]
    history = client.get(f"metrics/get-history?run_id={run_id}&metric_key=m")[1]
    assert sorted(one["step"] for one in history["metrics"]) == [1, 2]


def test_a_batch_is_kept_whole_or_not_at_all(client: Client) -> None:
    run_id = client.run()
    assert client.post("runs/log-parameter", {"run_id": run_id, "key": "p", "value": "1"}) == (200, {})
    assert client.post("runs/log-parameter", {"run_id": run_id, "key": "p", "value": "1"}) == (200, {})
    metrics = [{"key": "m", "value": 1.0, "timestamp": 1, "step": 0}]
    params = [{"key": "q", "value": "1"}, {"key": "p", "value": "2"}]
    status, answer = client.post("runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": params})
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "parameter 'p'" in answer["message"]
    data = client.get(f"runs/get?run_id={run_id}")[1]["run"]["data"]
    assert (data["metrics"], data["params"]) == ([], [{"key": "p", "value": "1"}])


def test_a_long_text_is_cut_where_mlflow_cuts_it(client: Client) -> None:
    run_id = client.run()
    batch = {"params": [{"key": "p", "value": "x" * 6001}], "tags": [{"key": "t", "value": "y" * 8001}]}
    for _ in range(2):  # the same again is the same parameter
        assert client.post("runs/log-batch", {"run_id": run_id, **batch}) == (200, {})
    data = client.get(f"runs/get?run_id={run_id}")[1]["run"]["data"]
    assert data["params"] == [{"key": "p", "value": "x" * 6000}]
    assert {"key": "t", "value": "y" * 8000} in data["tags"]


METRIC = {"key": "m", "value": 1.0, "timestamp": 1}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}, "'run_id'"),
        ("runs/log-metric", {"run_id": "RUN", "value": 1, "timestamp": 1}, "'key'"),
        ("runs/log-metric", {"run_id": "RUN", "key": "m", "value": "high", "timestamp": 1}, "value"),
        ("runs/log-metric", {"run_id": "RUN", "key": "m", "value": None, "timestamp": 1}, "'value'"),
        ("runs/log-metric", {"run_id": "RUN", **METRIC, "step": 2**63}, "step"),
        ("runs/log-metric", {"run_id": "RUN", **METRIC, "timestamp": 2**62}, ""),
        ("runs/log-metric", {"run_id": "RUN", **METRIC, "key": "x" * 251}, "250"),
        ("runs/log-metric", {"run_id": "RUN", **METRIC, "key": "a\u0000b"}, "metric"),
        ("runs/log-batch", {"run_id": "RUN", "metrics": [METRIC] * 1001}, "at most 1000 metrics"),
        (
            "runs/log-batch",
            {"run_id": "RUN", "params": [{"key": str(one)} for one in range(101)]},
            "at most 100 params",
        ),
        ("runs/log-batch", {"run_id": "RUN", "params": [{"key": "p"}, {"key": "p"}]}, "Duplicate"),
        ("runs/log-batch", {"run_id": "RUN", "params": [{"key": "a|b"}]}, "params[0].key"),
        ("runs/log-batch", {"run_id": "RUN", "tags": [{"key": "../a"}]}, "tags[0].key"),
        ("runs/log-metric", {"run_id": "RUN", **METRIC, "timestamp": -1}, "timestamp"),
        ("runs/create", {"run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]}, "run_name"),
        ("runs/log-batch", {"run_id": "RUN", "params": "p"}, "params"),
        ("runs/set-tag", {"run_id": ["RUN"], "key": "a"}, "run_id"),
        ("runs/update", {"run_id": "RUN", "status": "DONE"}, "RUNNING, SCHEDULED"),
        ("runs/create", {"experiment_id": "0", "start_time": "soon"}, "start_time"),
        ("runs/create", {"experiment_id": "0", "start_time": -(10**17)}, ""),
        ("experiments/create", {"name": ""}, "name"),
        ("experiments/create", {"name": "a", "artifact_location": "file:///etc"}, "artifact_location"),
        ("experiments/create", {"name": "a", "artifact_location": "http:///#/../../etc/"}, "artifact_location"),
        ("experiments/create", {}, "'name'"),
        ("experiments/search", {"view_type": "SOME"}, "ACTIVE_ONLY"),
        ("experiments/search", {"max_results": 10**9}, "max_results"),
        ("runs/search", {"experiment_ids": ["0"], "max_results": 50_001}, "max_results"),
        ("runs/search", {"experiment_ids": ["0"], "run_view_type": "NONE"}, "ACTIVE_ONLY"),
        ("runs/search", {"experiment_ids": ["0"], "filter": "(" * 5000}, "filter"),
        ("runs/search", {"experiment_ids": ["0"], "filter": "params.a = 'x' AND"}, "filter"),
        ("runs/search", {"experiment_ids": ["0"], "order_by": ["metrics."]}, "order_by"),
        ("runs/search", {"experiment_ids": ["0"], "page_token": "x"}, "cursor"),
    ],
)
def test_bad_input_is_told_with_the_protocols_code(client: Client, path: str, body: dict[str, Any], said: str) -> None:
    run_id = client.run()
    given = json.loads(json.dumps(body).replace("RUN", run_id)) if "status" not in body else body | {"run_id": run_id}
    before = client.get(f"runs/get?run_id={run_id}")
    status, answer = client.post(path, given)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
    assert said in answer["message"]
    assert client.get(f"runs/get?run_id={run_id}") == before


def test_bodies_that_are_none_are_refused(client: Client) -> None:
    path = "/api/2.0/mlflow/runs/create"
    for body in (b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b"null"):
        status, _, raw = client.raw("POST", path, body, content_type="application/json")
        assert (status, json.loads(raw)["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), body[:20]
    status, _, raw = client.raw("POST", path, b"{}", content_type="text/plain")
    assert (status, json.loads(raw)["error_code"]) == (415, "INVALID_PARAMETER_VALUE")
    status, _, _ = client.raw("POST", path, b"x" * (9 << 20), content_type="application/json")
    assert status == 413
    status, _, raw = client.raw("POST", path, b"{}", content_type="application/json", origin="http://evil.example")
    assert (status, json.loads(raw)["error_code"]) == (403, "PERMISSION_DENIED")


NAMES = [
    "../x",
    "a/../b",
    "/etc/passwd",
    "a//b",
    "..\\x",
    "a\\..\\b",
    "%2e%2e/x",
    "a/%2e%2e/b",
    "%2e%2e%2fx",
    "%252e/..",
    "a%00b",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("root", ["/api/2.0", "/ajax-api/2.0", "/api/3.0"])
def test_no_path_leads_out_of_a_runs_artifacts(client: Client, root: str, name: str) -> None:
    run_id = client.run()
    place = f"{root}/mlflow-artifacts/artifacts/0/{run_id}/artifacts/{name}"
    for method, body in (("PUT", b"x"), ("GET", b"")):
        status, _, raw = client.raw(method, place, body)
        assert status in (400, 404), (method, name, status, raw)
        assert json.loads(raw)["error_code"] in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
    assert client.get(f"artifacts/list?run_id={run_id}")[1]["files"] == []


def test_artifacts_are_downloads_that_no_browser_runs(client: Client) -> None:
    run_id = client.run()
    place = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/page.html"
    assert client.raw("PUT", place, b"<script>alert(1)</script>")[0] == 200
    status, headers, body = client.raw("GET", place)
    assert (status, body) == (200, b"<script>alert(1)</script>")
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''page.html"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox")
    assert headers["content-type"] == "application/octet-stream"
    other = client.run()
    for wrong in (
        place.replace("/0/", "/1/"),
        place.replace(run_id, other),
        place.replace("/artifacts/page", "/x/page"),
    ):
        assert client.raw("GET", wrong)[0] == 404


def test_whoever_may_not_is_refused(tmp_path: Path) -> None:
    with open_local(Settings(home=str(tmp_path / "home"), auth="token")) as workspace, serving(workspace) as url:
        client = Client(url)
        token = workspace.people.add("reader", role="viewer").token
        run = workspace.runs.create("a")
        paths = [
            ("POST", "mlflow/runs/create"),
            ("GET", f"mlflow/runs/get?run_id={run.id}"),
            ("POST", "mlflow/nothing"),
        ]
        place = f"mlflow-artifacts/artifacts/{run.experiment_id}/{run.id}/artifacts/a"
        for method, path in (*paths, ("PUT", place), ("GET", place)):
            for root in ("/api/2.0/", "/ajax-api/2.0/", "/api/3.0/"):
                status, _, raw = client.raw(method, root + path, b"{}" if method == "POST" else b"")
                assert (status, json.loads(raw)["error_code"]) == (401, "UNAUTHENTICATED"), path
        bearer = f"Bearer {token}"
        assert client.raw("GET", f"/api/2.0/{paths[1][1]}", authorization=bearer)[0] == 200
        for method, path, body in (("POST", "mlflow/runs/create", b'{"experiment_id": "0"}'), ("PUT", place, b"x")):
            status, _, raw = client.raw(
                method, f"/api/2.0/{path}", body, authorization=bearer, content_type="application/json"
            )
            assert (status, json.loads(raw)["error_code"]) == (403, "PERMISSION_DENIED")


def test_artifacts_are_put_in_parts_and_deleted(client: Client) -> None:
    run_id = client.run()
    folder = f"0/{run_id}/artifacts/model"

    def call(verb: str, body: object, **headers: str) -> tuple[int, Any]:
        at = f"/api/2.0/mlflow-artifacts/mpu/{verb}/{folder}"
        status, _, raw = client.raw("POST", at, json.dumps(body).encode(), content_type="application/json", **headers)
        return status, json.loads(raw)

    status, made = call("create", {"path": "/home/me/weights.bin", "num_parts": 3})
    assert status == 200
    parts = []
    for credential in made["credentials"]:
        number = credential["part_number"]
        url = urlsplit(credential["url"])
        status, headers, _ = client.raw("PUT", f"{url.path}?{url.query}", bytes([number]) * 1000 * number)
        parts.append({"part_number": number, "etag": headers["etag"], "url": credential["url"]})
        assert status == 200
    upload = {"path": "/home/me/weights.bin", "upload_id": made["upload_id"]}
    wrong: list[dict[str, Any]] = [
        {"parts": parts[1:]},
        {"parts": [*parts, parts[0]]},
        {"parts": []},
        {"parts": [parts[0] | {"etag": "nothing"}]},
        {"parts": [parts[0] | {"etag": "0" * 64}]},
        {"parts": parts, "upload_id": "another"},
        {"parts": parts, "path": ".."},
    ]
    for body in wrong:
        assert call("complete", upload | body)[0] in (400, 404), body
    assert client.get(f"artifacts/list?run_id={run_id}")[1]["files"] == []
    assert call("complete", upload | {"parts": parts[::-1]}) == (200, {})
    at = f"/api/2.0/mlflow-artifacts/artifacts/{folder}"
    whole = b"".join(bytes([number]) * 1000 * number for number in (1, 2, 3))
    assert client.raw("GET", f"{at}/weights.bin")[2] == whole
    assert call("abort", upload) == (200, {})
    assert client.raw("PUT", f"{at}er/other", b"x")[0] == 200
    assert client.raw("DELETE", at)[0] == 200
    assert client.raw("DELETE", at)[0] == 404
    assert [one["path"] for one in client.get(f"artifacts/list?run_id={run_id}")[1]["files"]] == ["modeler"]
    for number in (0, 10_001):
        assert call("create", {"path": "a", "num_parts": number})[0] == 400


def test_a_part_is_put_with_the_credentials_of_whoever_asked(tmp_path: Path) -> None:
    with open_local(Settings(home=str(tmp_path / "home"), auth="token")) as workspace, serving(workspace) as url:
        client = Client(url)
        bearer = f"Bearer {workspace.people.add('writer', role='contributor').token}"
        run = workspace.runs.create("a")
        at = f"/api/2.0/mlflow-artifacts/mpu/create/{run.experiment_id}/{run.id}/artifacts"
        body = b'{"path": "a b.bin", "num_parts": 1}'
        status, _, raw = client.raw("POST", at, body, content_type="application/json", authorization=bearer)
        (credential,) = json.loads(raw)["credentials"]
        assert (status, credential["headers"]) == (200, {"Authorization": bearer})
        part = urlsplit(credential["url"])
        assert client.raw("PUT", f"{part.path}?{part.query}", b"x")[0] == 401
        assert client.raw("PUT", f"{part.path}?{part.query}", b"x", authorization=bearer)[0] == 200


def test_pages_hold_as_many_runs_as_mlflows(client: Client) -> None:
    home = client.post("experiments/create", {"name": "many"})[1]["experiment_id"]
    tags = [{"key": "a", "value": "b"}]
    for number in range(11):
        client.run(experiment_id=home, start_time=number + 1, tags=tags)
    page = client.post("runs/search", {"experiment_ids": [home], "max_results": 10})[1]
    assert [run["info"]["start_time"] for run in page["runs"]] == list(range(11, 1, -1))
    assert all(tags[0] in run["data"]["tags"] for run in page["runs"])
    token = page["next_page_token"]
    rest = client.post("runs/search", {"experiment_ids": [home], "max_results": 50_000, "page_token": token})[1]
    assert [run["info"]["start_time"] for run in rest["runs"]] == [1]
    assert "next_page_token" not in rest
