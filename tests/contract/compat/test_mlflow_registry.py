"""MLflow's registry and logged models byte by byte: shapes, codes, governance, hostile requests; on both databases."""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.contract.compat.mlflow_client import Client
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.models.records import StagePolicy
from tidegate.workspace import open_local

ROOTS = [f"/{prefix}/{version}/mlflow/" for prefix in ("api", "ajax-api") for version in ("2.0", "3.0")]

_names = itertools.count()


def fresh() -> str:
    """A name that no model has."""
    return f"model-{next(_names)}"


def put(client: Client, place: str, content: bytes = b"x") -> int:
    return client.raw("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{place}", content)[0]


def logged(client: Client, name: str = "model", **given: object) -> str:
    """A logged model with two files."""
    status, answer = client.post("logged-models", {"experiment_id": "0", "name": name, **given})
    assert status == 200, answer
    model_id = str(answer["model"]["info"]["model_id"])
    for file in ("MLmodel", "data/model.pkl"):
        assert put(client, f"0/models/{model_id}/artifacts/{file}", file.encode()) == 200
    return model_id


def registered(client: Client, **given: object) -> str:
    """A model with one version."""
    name = fresh()
    assert client.post("registered-models/create", {"name": name})[0] == 200
    body = {"name": name, "source": f"models:/{logged(client)}", **given}
    status, answer = client.post("model-versions/create", body)
    assert (status, answer.get("model_version", answer).get("version")) == (200, "1"), answer
    return name


class Kept(NamedTuple):
    """What is there, and stays as it is."""

    name: str
    model_id: str
    run_id: str


@pytest.fixture(scope="module")
def kept(client: Client) -> Kept:
    """A model with one version, a logged model, and a run with an artifact."""
    run_id = client.run()
    assert put(client, f"0/{run_id}/artifacts/model/MLmodel") == 200
    return Kept(registered(client), logged(client), run_id)


def test_a_model_has_the_protocols_shape(client: Client) -> None:
    name = fresh()
    tags = [{"key": "a", "value": "b"}, {"key": "c"}]
    status, answer = client.post("registered-models/create", {"name": name, "tags": tags, "description": "d", "x": 1})
    model = answer["registered_model"]
    moments = {key: model.pop(key) for key in ("creation_timestamp", "last_updated_timestamp")}
    assert all(isinstance(one, int) and one > 10**12 for one in moments.values())
    assert (status, model) == (
        200,
        {
            "name": name,
            "user_id": "local",
            "description": "d",
            "latest_versions": [],
            "tags": [{"key": "a", "value": "b"}, {"key": "c", "value": ""}],
            "aliases": [],
        },
    )
    for root in ROOTS:
        assert client.get(f"registered-models/get?name={name}", root)[1]["registered_model"]["name"] == name
    assert client.call("PATCH", "registered-models/update", {"name": name, "description": "e"})[0] == 200
    assert client.call("DELETE", "registered-models/delete-tag", {"name": name, "key": "a"}) == (200, {})
    assert client.call("DELETE", "registered-models/delete-tag", {"name": name, "key": "a"}) == (200, {})
    renamed = client.post("registered-models/rename", {"name": name, "new_name": f"{name} too"})[1]["registered_model"]
    assert (renamed["name"], renamed["description"], renamed["tags"]) == (
        f"{name} too",
        "e",
        [{"key": "c", "value": ""}],
    )
    assert client.call("DELETE", "registered-models/delete", {"name": f"{name} too"}) == (200, {})
    assert client.get(f"registered-models/get?name={name}")[0] == 404


@pytest.mark.parametrize("name", ["_Late.Arrival (prod), lr=0.1", "main.risk.late v2"])
def test_names_that_other_registries_have_lead_to_their_model_everywhere(client: Client, name: str) -> None:
    assert client.post("registered-models/create", {"name": name})[0] == 200
    run_id = client.run()
    assert put(client, f"0/{run_id}/artifacts/model/MLmodel") == 200
    source = {"name": name, "source": f"runs:/{run_id}/model", "run_id": run_id}
    assert client.post("model-versions/create", source)[1]["model_version"]["version"] == "1"
    alias = {"name": name, "alias": "champion", "version": "1"}
    assert client.post("registered-models/alias", alias)[0] == 200
    told = quote(name)
    by_alias = client.get(f"registered-models/alias?name={told}&alias=champion")[1]["model_version"]
    wanted = quote(f"name = '{name}'")
    found = client.get(f"model-versions/search?filter={wanted}")[1]["model_versions"]
    again = client.post("model-versions/create", {"name": name, "source": f"models:/{name}/1"})[1]["model_version"]
    assert (by_alias["version"], [one["name"] for one in found], again["name"]) == ("1", [name], name)
    uri = client.get(f"model-versions/get-download-uri?name={told}&version=1")[1]["artifact_uri"]
    assert uri == f"mlflow-artifacts:/models/{name}/1"
    root = "/api/2.0/mlflow-artifacts/artifacts"
    status, headers, _ = client.raw("GET", f"{root}/models/{told}/1/MLmodel")
    assert (status, headers["content-disposition"].partition(";")[0]) == (200, "attachment")
    status, _, raw = client.raw("GET", f"/api/v1/models/{told}/versions/1")
    assert (status, json.loads(raw)["name"]) == (200, name)


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", "a%2Fb", "..", "modèle", "a\x00b", "x" * 257, "a'b", "a+b"])
def test_a_name_that_no_model_may_have_is_refused_in_the_protocols_form(client: Client, name: str) -> None:
    told = client.post("registered-models/create", {"name": name})
    assert (told[0], told[1]["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "use 1 to 128 letters a to z, digits and any of . _ - ( ) , = or spaces" in told[1]["message"]
    model = registered(client)
    told = client.post("registered-models/rename", {"name": model, "new_name": name})
    assert (told[0], told[1]["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_version_has_the_protocols_shape(client: Client) -> None:
    run_id = client.run()
    assert put(client, f"0/{run_id}/artifacts/model/MLmodel") == 200
    name = fresh()
    client.post("registered-models/create", {"name": name})
    source = f"mlflow-artifacts:/0/{run_id}/artifacts/model"
    body = {"name": name, "source": source, "run_id": run_id, "run_link": "https://example.org/run", "description": "d"}
    status, answer = client.post("model-versions/create", body | {"tags": [{"key": "a", "value": "b"}]})
    version = answer["model_version"]
    assert version.pop("creation_timestamp") > 0
    assert version.pop("last_updated_timestamp") > 0
    assert (status, version) == (
        200,
        {
            "name": name,
            "version": "1",
            "user_id": "local",
            "current_stage": "None",
            "description": "d",
            "source": source,
            "run_id": run_id,
            "run_link": "https://example.org/run",
            "status": "READY",
            "tags": [{"key": "a", "value": "b"}],
            "aliases": [],
        },
    )
    alias = {"name": name, "alias": "champion", "version": "1"}
    assert client.post("registered-models/alias", alias) == (200, {})
    shown = client.get(f"model-versions/get?name={name}&version=1")[1]["model_version"]
    assert shown["aliases"] == ["champion"]
    assert client.get(f"registered-models/alias?name={name}&alias=champion")[1]["model_version"] == shown
    assert client.call("DELETE", "registered-models/alias", alias) == (200, {})
    assert client.call("DELETE", "registered-models/alias", alias) == (200, {})
    latest = client.get(f"registered-models/get-latest-versions?name={name}&stages=None&stages=Staging")[1]
    assert [one["version"] for one in latest["model_versions"]] == ["1"]
    assert client.post("registered-models/get-latest-versions", {"name": name, "stages": ["Production"]})[1] == {
        "model_versions": []
    }
    found = client.get(f"model-versions/search?filter=run_id%3D%27{run_id}%27&max_results=200000")[1]
    assert [one["name"] for one in found["model_versions"]] == [name]


def test_a_retried_creation_makes_no_second_version(client: Client) -> None:
    name, model_id = fresh(), logged(client)
    client.post("registered-models/create", {"name": name})
    body = {"name": name, "source": f"models:/{model_id}", "model_id": model_id}
    answers = [client.post("model-versions/create", body)[1]["model_version"]["version"] for _ in range(3)]
    assert answers == ["1", "1", "1"]
    info = client.get(f"logged-models/{model_id}")[1]["model"]["info"]
    assert info["registrations"] == [{"name": name, "version": "1"}]
    status, answer = client.post("registered-models/create", {"name": name})
    assert (status, answer["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")


SOURCES = [
    "file:///etc",
    "file:/etc/passwd",
    "file:etc",
    "/etc/passwd",
    "etc",
    "",
    "../../etc",
    "s3://bucket/model",
    "http://169.254.169.254/latest/meta-data",
    "https://evil.example/x",
    "ftp://evil.example/x",
    "sftp://evil.example/x",
    "hdfs://evil.example/x",
    "abfss://c@evil.example/x",
    "dbfs:/x",
    "mlflow-artifacts://evil.example/0/RUN/artifacts/model",
    "mlflow-artifacts://evil.example:80/0/RUN/artifacts/model",
    "mlflow-artifacts:/0/RUN/artifacts/../../etc",
    "mlflow-artifacts:/0/RUN/artifacts/model/../../../etc",
    "mlflow-artifacts:/0/RUN/artifacts//etc/passwd",
    "mlflow-artifacts:/0/RUN/artifacts/%2e%2e/%2e%2e/etc",
    "mlflow-artifacts:/0/RUN/artifacts/model?x=/../../etc",
    "mlflow-artifacts:/0/RUN/artifacts/model#/../../etc",
    "mlflow-artifacts:/0/RUN/artifacts/..\\..\\etc",
    "mlflow-artifacts:/0/RUN/artifacts/a\u0000b",
    "mlflow-artifacts:/0/RUN/artifacts/nothing",
    "mlflow-artifacts:/../RUN/artifacts/model",
    "runs:/RUN/../../etc",
    "runs:/RUN/nothing",
    "runs://profile@databricks/RUN/model",
    "runs:/other/model",
    "models:/m-x",
    "models:/../1",
    "models:/a/b/1",
    "models://evil.example/m/1",
    "models:/m/latest",
    "C:\\Windows\\system32",
    "javascript:alert(1)",
    "x" * 100_000,
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source[:60])
def test_a_source_points_the_server_nowhere(client: Client, kept: Kept, source: str) -> None:
    before = client.get(f"registered-models/get?name={kept.name}")
    for root in ROOTS[:1] + ROOTS[-1:]:
        body = {"name": kept.name, "source": source.replace("RUN", kept.run_id)}
        status, answer = client.post("model-versions/create", body, root)
        assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
    assert client.get(f"registered-models/get?name={kept.name}") == before


ABSENT = [
    "models:/m-" + "0" * 32,
    "models:/nothing/1",
    "models:/nothing@champion",
    "runs:/" + "0" * 32 + "/model",
    "mlflow-artifacts:/0/" + "0" * 32 + "/artifacts/model",
    "mlflow-artifacts:/models/nothing/1",
]


@pytest.mark.parametrize("source", ABSENT)
def test_a_source_that_is_not_kept_is_not_found(client: Client, kept: Kept, source: str) -> None:
    before = client.get(f"registered-models/get?name={kept.name}")
    status, answer = client.post("model-versions/create", {"name": kept.name, "source": source})
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert client.get(f"registered-models/get?name={kept.name}") == before


NAME = {"name": "NAME"}
VERSION = {"name": "NAME", "version": "1"}


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "registered-models/create", {}, 400),
        ("POST", "registered-models/create", {"name": ""}, 400),
        ("POST", "registered-models/create", {"name": "a/b"}, 400),
        ("POST", "registered-models/create", {"name": "../../etc"}, 400),
        ("POST", "registered-models/create", {"name": "a\u0000b"}, 400),
        ("POST", "registered-models/create", {"name": "x" * 300}, 400),
        ("POST", "registered-models/create", {"name": "<script>alert(1)</script>"}, 400),
        ("POST", "registered-models/create", {"name": "new-a", "tags": [{"key": "x" * 251}]}, 400),
        ("POST", "registered-models/create", {"name": "new-b", "tags": [{"key": "a", "value": "x" * 10**5}]}, 400),
        ("POST", "registered-models/create", {"name": "new-c", "description": "x" * 10**6}, 400),
        ("POST", "registered-models/create", {"name": ["a"]}, 400),
        ("POST", "registered-models/rename", NAME | {"new_name": "a/b"}, 400),
        ("POST", "registered-models/set-tag", NAME | {"key": ""}, 400),
        ("POST", "registered-models/set-tag", {"name": "nobody's", "key": "a"}, 404),
        ("POST", "registered-models/alias", VERSION | {"alias": "latest"}, 400),
        ("POST", "registered-models/alias", VERSION | {"alias": "v1"}, 400),
        ("POST", "registered-models/alias", VERSION | {"alias": "a/../b"}, 400),
        ("POST", "registered-models/alias", NAME | {"version": "9", "alias": "a"}, 404),
        ("DELETE", "registered-models/alias", {"name": "nothing", "alias": "a"}, 404),
        ("POST", "registered-models/get-latest-versions", NAME | {"stages": ["Elsewhere"]}, 400),
        ("POST", "model-versions/create", {"name": "nothing", "source": "models:/NAME/1"}, 404),
        ("POST", "model-versions/create", NAME | {"source": "models:/NAME/1", "model_id": "m-" + "0" * 32}, 400),
        ("POST", "model-versions/create", NAME | {"source": "models:/NAME/1", "model_id": "m-../x"}, 404),
        ("POST", "model-versions/create", NAME | {"source": "models:/NAME/1", "run_link": "javascript:alert(1)"}, 400),
        ("PATCH", "model-versions/update", NAME | {"version": "one"}, 400),
        ("PATCH", "model-versions/update", NAME | {"version": "-1"}, 400),
        ("PATCH", "model-versions/update", NAME | {"version": "9" * 40}, 400),
        ("PATCH", "model-versions/update", NAME | {"version": "7"}, 404),
        ("DELETE", "model-versions/delete", NAME | {"version": "7"}, 404),
        ("POST", "model-versions/set-tag", VERSION | {"key": "a\u0000"}, 400),
        ("POST", "model-versions/transition-stage", VERSION | {"stage": "Gone"}, 400),
        (
            "POST",
            "model-versions/transition-stage",
            VERSION | {"stage": "Archived", "archive_existing_versions": True},
            400,
        ),
        ("POST", "model-versions/transition-stage", VERSION | {"stage": 5}, 400),
        ("GET", "registered-models/search?max_results=1001", None, 400),
        ("GET", "registered-models/search?max_results=0", None, 400),
        ("GET", "registered-models/search?page_token=x", None, 400),
        ("GET", "registered-models/search?filter=metrics.a>1", None, 400),
        ("GET", "registered-models/search?filter=" + "(" * 3000, None, 400),
        ("GET", "registered-models/search?filter=name+LIKE+%27" + "%25" * 50 + "%27", None, 400),
        ("GET", "registered-models/search?order_by=tags.a", None, 400),
        ("GET", "model-versions/search?filter=source_path%3D%27/etc%27", None, 400),
        ("GET", "model-versions/search?max_results=200001", None, 400),
        ("GET", "model-versions/get?name=NAME", None, 400),
        ("GET", "model-versions/get-download-uri?name=NAME&version=3", None, 404),
    ],
)
def test_bad_input_is_told_and_changes_nothing(
    client: Client, kept: Kept, method: str, path: str, body: dict[str, Any] | None, code: int
) -> None:
    name = kept.name
    before = client.get(f"registered-models/get?name={name}")
    if body is None:
        status, answer = client.get(path.replace("NAME", name))
    else:
        status, answer = client.call(method, path, json.loads(json.dumps(body).replace("NAME", name)))
    expected = "RESOURCE_DOES_NOT_EXIST" if code == 404 else "INVALID_PARAMETER_VALUE"
    assert (status, answer["error_code"]) == (code, expected), answer
    assert len(answer["message"]) > 10
    assert client.get(f"registered-models/get?name={name}") == before
    new = str((body or {}).get("name"))
    if new.startswith("new-"):
        assert client.get(f"registered-models/get?name={new}")[0] == 404


def test_prompts_are_not_answered(client: Client) -> None:
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    name = registered(client)
    for path, body in (
        ("registered-models/create", {"name": fresh(), "tags": tags}),
        ("model-versions/create", {"name": name, "source": "file:///etc", "tags": tags}),
    ):
        status, answer = client.post(path, body)
        assert (status, answer["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    filter = f"name = '{name}' AND tag.`mlflow.prompt.is_prompt` != 'true'"
    found = client.get(f"registered-models/search?filter={filter.replace(' ', '+')}")[1]["registered_models"]
    assert [one["name"] for one in found] == [name]


def test_files_of_versions_and_logged_models_are_downloads_that_never_change(client: Client) -> None:
    name = registered(client)
    uri = client.get(f"model-versions/get-download-uri?name={name}&version=1")[1]["artifact_uri"]
    assert uri == f"mlflow-artifacts:/models/{name}/1"
    listed = client.get(f"mlflow-artifacts/artifacts?path=models/{name}/1", "/api/2.0/")[1]["files"]
    assert listed == [{"path": "MLmodel", "is_dir": False, "file_size": 7}, {"path": "data", "is_dir": True}]
    for root in ("/api/2.0", "/ajax-api/3.0"):
        place = f"{root}/mlflow-artifacts/artifacts/models/{name}/1"
        status, headers, body = client.raw("GET", f"{place}/data/model.pkl")
        assert (status, body, headers["x-content-type-options"]) == (200, b"data/model.pkl", "nosniff")
        assert headers["content-disposition"].startswith("attachment")
        status, _, raw = client.raw("PUT", f"{place}/data/model.pkl", b"other")
        assert (status, json.loads(raw)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        for wrong in (
            "../1/MLmodel",
            "%2e%2e/%2e%2e/etc",
            "..%2f..%2fetc",
            "data//model.pkl",
            "..\\MLmodel",
            "nothing",
        ):
            assert client.raw("GET", f"{place}/{wrong}")[0] in (400, 404), wrong
        assert client.raw("GET", f"{place.removesuffix('1')}2/MLmodel")[0] == 404
        assert client.raw("GET", f"{place.removesuffix('1')}x/MLmodel")[0] == 404


@pytest.mark.parametrize("wrong", ["../x", "a/../../b", "a//b", "..\\x", "%2e%2e/x", "%2e%2e%2fx", "a%00b"])
def test_no_path_leads_out_of_a_logged_model(client: Client, kept: Kept, wrong: str) -> None:
    model_id = kept.model_id
    before = client.get(f"logged-models/{model_id}/artifacts/directories")
    place = f"/api/2.0/mlflow-artifacts/artifacts/0/models/{model_id}/artifacts/{wrong}"
    for method in ("PUT", "GET"):
        status, _, raw = client.raw(method, place, b"x" if method == "PUT" else b"")
        assert status in (400, 404), (method, raw)
    assert client.get(f"logged-models/{model_id}/artifacts/directories") == before
    assert put(client, f"1/models/{model_id}/artifacts/x") == 404


def test_a_logged_model_has_the_protocols_shape(client: Client) -> None:
    run_id = client.run()
    given = {
        "experiment_id": "0",
        "name": "shaped",
        "model_type": "agent",
        "source_run_id": run_id,
        "params": [{"key": "C", "value": "1"}],
        "tags": [{"key": "a", "value": "b"}],
    }
    info = client.post("logged-models", given)[1]["model"]["info"]
    model_id = info["model_id"]
    assert info["creation_timestamp_ms"] == info["last_updated_timestamp_ms"]
    assert (info["status"], info["artifact_uri"]) == (
        "LOGGED_MODEL_PENDING",
        f"mlflow-artifacts:/0/models/{model_id}/artifacts",
    )
    metric = {"run_id": run_id, "key": "m", "value": "NaN", "timestamp": 5, "step": 2, "model_id": model_id}
    dataset = {"dataset_name": "held-out", "dataset_digest": "d1"}
    assert client.post("runs/log-metric", metric | dataset) == (200, {})
    measured = {"key": "n", "value": 1.5, "timestamp": 6, "model_id": model_id}
    batch = {"run_id": run_id, "metrics": [measured]}
    assert client.post("runs/log-batch", batch) == (200, {})
    assert client.post("runs/log-parameter", {"run_id": run_id, "key": "p", "value": "1"}) == (200, {})
    unkept = measured | {"key": "whole or nothing"}
    for code, wrong in (
        ("INVALID_PARAMETER_VALUE", {"metrics": [unkept], "params": [{"key": "p", "value": "2"}]}),
        ("RESOURCE_DOES_NOT_EXIST", {"metrics": [unkept, measured | {"model_id": "m-" + "0" * 32}]}),
    ):
        assert client.post("runs/log-batch", {"run_id": run_id, **wrong})[1]["error_code"] == code
    assert client.post("runs/outputs", {"run_id": run_id, "models": [{"model_id": model_id, "step": "3"}]}) == (200, {})
    assert client.post("runs/log-inputs", {"run_id": run_id, "models": [{"model_id": model_id}]}) == (200, {})
    assert client.call("PATCH", f"logged-models/{model_id}", {"status": "LOGGED_MODEL_READY"})[0] == 200
    assert client.call("PATCH", f"logged-models/{model_id}/tags", {"tags": [{"key": "c/d", "value": "e"}]})[0] == 200
    assert client.raw("DELETE", f"/api/2.0/mlflow/logged-models/{model_id}/tags/a")[0] == 200
    assert client.post(f"logged-models/{model_id}/params", {"params": [{"key": "D", "value": "2"}]}) == (200, {})
    model = client.get(f"logged-models/{model_id}")[1]["model"]
    assert model["data"] == {
        "params": [{"key": "C", "value": "1"}, {"key": "D", "value": "2"}],
        "metrics": [
            {"key": "m", "value": "NaN", "timestamp": 5, "step": 2, "model_id": model_id, "run_id": run_id} | dataset,
            {"key": "n", "value": 1.5, "timestamp": 6, "step": 0, "model_id": model_id, "run_id": run_id},
        ],
    }
    assert model["info"]["status"] == "LOGGED_MODEL_READY"
    assert model["info"]["tags"] == [{"key": "c/d", "value": "e"}]
    for run in (
        client.get(f"runs/get?run_id={run_id}")[1]["run"],
        client.post("runs/search", {"experiment_ids": ["0"], "filter": f"run_id = '{run_id}'"})[1]["runs"][0],
    ):
        assert run["outputs"] == {"model_outputs": [{"model_id": model_id, "step": 3}]}
        assert run["inputs"]["model_inputs"] == [{"model_id": model_id}]
        assert {one["key"] for one in run["data"]["metrics"]} == {"m", "n"}
    search = {"experiment_ids": ["0", "no such"], "filter": "name = 'shaped' AND metrics.n > 1", "max_results": 5}
    assert [one["info"]["model_id"] for one in client.post("logged-models/search", search)[1]["models"]] == [model_id]
    order = [{"field_name": "metrics.n", "ascending": False, "dataset_name": "held-out"}]
    assert len(client.post("logged-models/search", search | {"order_by": order})[1]["models"]) == 0
    assert client.raw("DELETE", f"/api/2.0/mlflow/logged-models/{model_id}")[0] == 200
    assert client.get(f"logged-models/{model_id}")[0] == 404


def test_older_clients_note_their_models_in_a_tag(client: Client) -> None:
    run_id = client.run()
    for place in range(4):
        body = {"run_id": run_id, "model_json": json.dumps({"artifact_path": f"m{place}", "text": "x" * 2500})}
        assert client.post("runs/log-model", body) == (200, {})
    tags = client.get(f"runs/get?run_id={run_id}")[1]["run"]["data"]["tags"]
    history = json.loads(next(tag["value"] for tag in tags if tag["key"] == "mlflow.log-model.history"))
    assert [one["artifact_path"] for one in history][-2:] == ["m2", "m3"]
    status, answer = client.post("runs/log-model", {"run_id": run_id, "model_json": "[1"})
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "logged-models", {}, 400),
        ("POST", "logged-models", {"experiment_id": "no such", "name": "a"}, 404),
        ("POST", "logged-models", {"experiment_id": "Default", "name": "a"}, 404),
        ("POST", "logged-models", {"experiment_id": "0", "name": "a/b"}, 400),
        ("POST", "logged-models", {"experiment_id": "0", "name": "../etc"}, 400),
        ("POST", "logged-models", {"experiment_id": "0", "name": "a", "source_run_id": "../x"}, 404),
        ("GET", "logged-models/m-x", None, 404),
        ("GET", "logged-models/../../etc", None, 404),
        ("GET", "logged-models/m-%2e%2e", None, 404),
        ("PATCH", "logged-models/ID", {"status": "LOGGED_MODEL_PENDING"}, 400),
        ("PATCH", "logged-models/ID", {"status": "DONE"}, 400),
        ("PATCH", "logged-models/ID", {}, 400),
        ("PATCH", "logged-models/ID/tags", {"tags": [{"key": ""}]}, 400),
        ("PATCH", "logged-models/ID/tags", {"tags": [{"key": "a", "value": "x" * 10**5}]}, 400),
        ("POST", "logged-models/ID/params", {"params": [{"key": "a\u0000"}]}, 400),
        ("DELETE", "logged-models/ID/tags/nothing", {}, 404),
        ("POST", "logged-models/search", {"experiment_ids": ["0"], "max_results": 10**9}, 400),
        ("POST", "logged-models/search", {"experiment_ids": ["0"], "filter": "params.a > 1"}, 400),
        ("POST", "logged-models/search", {"experiment_ids": ["0"], "order_by": [{"field_name": "a; DROP"}]}, 400),
        ("POST", "runs/log-metric", {"run_id": "RUN", "key": "m", "value": 1, "timestamp": 1, "model_id": "m-x"}, 404),
        (
            "POST",
            "runs/log-batch",
            {"run_id": "RUN", "metrics": [{"key": "m", "value": 1, "timestamp": 1, "model_id": "m-" + "0" * 32}]},
            404,
        ),
        ("POST", "runs/outputs", {"run_id": "RUN", "models": [{"model_id": "m-x"}]}, 404),
        ("POST", "runs/log-inputs", {"run_id": "RUN", "models": [{"model_id": "file:///etc"}]}, 404),
    ],
)
def test_bad_input_of_logged_models_is_told_and_changes_nothing(
    client: Client, kept: Kept, method: str, path: str, body: dict[str, Any] | None, code: int
) -> None:
    _, model_id, run_id = kept
    before = (client.get(f"logged-models/{model_id}"), client.get(f"runs/get?run_id={run_id}"))
    if body is None:
        status, answer = client.get(path.replace("ID", model_id))
    else:
        given = json.loads(json.dumps(body).replace("RUN", run_id))
        status, answer = client.call(method, path.replace("ID", model_id), given)
    codes = {404: ("RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND"), 400: ("INVALID_PARAMETER_VALUE",)}
    assert status == code, answer
    assert answer["error_code"] in codes[code]
    assert (client.get(f"logged-models/{model_id}"), client.get(f"runs/get?run_id={run_id}")) == before


def test_production_is_governed_and_both_ways_lead_to_one_model(tmp_path: Path) -> None:
    with open_local(Settings(home=str(tmp_path / "home"))) as workspace, serving(workspace) as url:
        client = Client(url)
        name = registered(client, description="d")
        move = {"name": name, "version": "1", "stage": "production", "archive_existing_versions": True}
        status, answer = client.post("model-versions/transition-stage", move)
        assert (status, answer["error_code"]) == (400, "INVALID_STATE")
        assert "gate:quality was not run" in answer["message"]
        assert "asks for 1 approval(s)" in answer["message"]
        workspace.models.set_policy(name, "production", policy=StagePolicy(approvals=0))
        assert client.post("model-versions/transition-stage", move)[1]["model_version"]["current_stage"] == "Production"
        assert client.post("model-versions/transition-stage", move)[0] == 200
        assert workspace.models.get(name, 1).stage == "production"
        for path, body in (
            ("registered-models/delete", {"name": name}),
            ("model-versions/delete", {"name": name, "version": "1"}),
        ):
            status, answer = client.call("DELETE", path, body)
            assert (status, answer["error_code"]) == (400, "INVALID_STATE")
            assert "is in production" in answer["message"]
        workspace.models.create("ours", note="natively", tags={"a": "b"})
        shown = client.get("registered-models/get?name=ours")[1]["registered_model"]
        assert (shown["description"], shown["tags"]) == ("natively", [{"key": "a", "value": "b"}])
        assert workspace.models.model(name).versions == 1


PATHS = [
    ("GET", "registered-models/get?name=a"),
    ("GET", "registered-models/search"),
    ("POST", "registered-models/create"),
    ("DELETE", "registered-models/delete"),
    ("POST", "registered-models/alias"),
    ("GET", "model-versions/search"),
    ("GET", "model-versions/get-download-uri?name=a&version=1"),
    ("POST", "model-versions/create"),
    ("PATCH", "model-versions/update"),
    ("POST", "model-versions/transition-stage"),
    ("POST", "logged-models"),
    ("POST", "logged-models/search"),
    ("GET", f"logged-models/m-{'0' * 32}"),
    ("PATCH", f"logged-models/m-{'0' * 32}"),
    ("DELETE", f"logged-models/m-{'0' * 32}"),
    ("GET", f"logged-models/m-{'0' * 32}/artifacts/directories"),
    ("POST", "runs/outputs"),
    ("POST", "runs/log-model"),
]


def test_whoever_may_not_is_refused_on_every_route(tmp_path: Path) -> None:
    with open_local(Settings(home=str(tmp_path / "home"), auth="token")) as workspace, serving(workspace) as url:
        client = Client(url)
        token = workspace.people.add("reader", role="viewer").token
        workspace.models.create("late")
        draft = workspace.drafts.create("flights", "late")
        for root in ROOTS:
            for method, path in PATHS:
                status, _, raw = client.raw(method, root + path, b"" if method == "GET" else b"{}")
                assert (status, json.loads(raw)["error_code"]) == (401, "UNAUTHENTICATED"), path
        bearer = {"authorization": f"Bearer {token}", "content_type": "application/json"}
        root = ROOTS[0]
        assert client.raw("GET", f"{root}registered-models/get?name=late", b"", **bearer)[0] == 200
        model_id = f"m-{draft.id}"
        for method, path, body in (
            ("POST", "registered-models/create", {"name": "other"}),
            ("DELETE", "registered-models/delete", {"name": "late"}),
            ("POST", "registered-models/set-tag", {"name": "late", "key": "a", "value": "b"}),
            ("POST", "logged-models", {"experiment_id": draft.experiment_id, "name": "a"}),
            ("PATCH", f"logged-models/{model_id}", {"status": "LOGGED_MODEL_READY"}),
            ("DELETE", f"logged-models/{model_id}", {}),
            ("POST", "model-versions/create", {"name": "late", "source": f"models:/{model_id}"}),
        ):
            status, _, raw = client.raw(method, root + path, json.dumps(body).encode(), **bearer)
            assert (status, json.loads(raw)["error_code"]) == (403, "PERMISSION_DENIED"), path
        place = f"/api/2.0/mlflow-artifacts/artifacts/{draft.experiment_id}/models/{model_id}/artifacts/a"
        assert client.raw("PUT", place, b"x", **bearer)[0] == 403
        assert client.raw("PUT", place, b"x")[0] == 401
        assert workspace.drafts.get(draft.id).files == ()
