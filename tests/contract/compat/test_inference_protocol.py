"""The checklist of Open Inference over REST, with real models behind it."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.endpoints.asgi_client import Reply, call
from tests.contract.endpoints.serving_home import ROW, ServingHome
from tests.contract.models.fitted_models import fitted
from tests.integration.endpoints.serving_process import application
from tidegate.endpoints.body import AsgiApp

COLUMNS = [
    {"name": "distance", "datatype": "FP32", "shape": [2], "data": [1400.0, 200.0]},
    {"name": "wind", "datatype": "FP64", "shape": [2, 1], "data": [[12.5], [None]]},
    {"name": "low_visibility", "datatype": "BOOL", "shape": [2], "data": [False, True]},
    {"name": "carrier", "datatype": "BYTES", "shape": [2], "data": ["c01", "c02"]},
]
MATRIX = {"name": "X", "datatype": "FP32", "shape": [2, 4], "data": [[1400, 12.5, 0, 1], [200, 3, 1, 2]]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingHome]:
    """A home with the endpoints `late` (two classes, text), `delay` (a regression) and `grade` (three integers)."""
    made = ServingHome(tmp_path_factory.mktemp("home"))
    made.deployed("linear, text", "late")
    made.deployed("regression", "delay")
    made.deployed("linear, three classes", "grade")
    yield made
    made.close()


@pytest.fixture(scope="module")
def app(home: ServingHome) -> AsgiApp:
    return application(home, 1 << 20)


def get(app: AsgiApp, path: str, method: str = "GET") -> Reply:
    return call(app, path, method=method)


def infer(app: AsgiApp, inputs: list[Any], model: str = "late", **more: Any) -> Reply:
    return call(app, f"/v2/models/{model}/infer", [json.dumps({"inputs": inputs, **more}).encode()])


def outputs(reply: Reply) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    return {output["name"]: output for output in reply.json["outputs"]}


def test_health_and_server_metadata(app: AsgiApp) -> None:
    assert (get(app, "/v2/health/live").status, get(app, "/v2/health/live").json) == (200, {"live": True})
    assert (get(app, "/v2/health/ready").status, get(app, "/v2/health/ready").json) == (200, {"ready": True})
    assert get(app, "/v2").json["name"] == "tidegate"
    assert get(app, "/v2").json["extensions"] == []


def test_model_metadata_come_from_the_signature(app: AsgiApp) -> None:
    for path in ("/v2/models/late", "/v2/models/late/versions/1"):
        told = get(app, path).json
        assert (told["name"], told["versions"], told["platform"]) == ("late", ["1"], "onnx")
        assert [(one["name"], one["datatype"], one["shape"]) for one in told["inputs"]] == [
            ("distance", "FP32", [-1]),
            ("wind", "FP32", [-1]),
            ("low_visibility", "BOOL", [-1]),
            ("carrier", "BYTES", [-1]),
        ]
        assert [(one["name"], one["datatype"], one["shape"]) for one in told["outputs"]] == [
            ("predict", "BYTES", [-1]),
            ("probabilities", "FP64", [-1, 2]),
            ("prediction_id", "BYTES", [-1]),
        ]
        assert told["outputs"][1]["parameters"] == {"classes": '["late","on time"]'}
    assert [one["datatype"] for one in get(app, "/v2/models/grade").json["outputs"]][:2] == ["INT64", "FP64"]
    assert [one["name"] for one in get(app, "/v2/models/delay").json["outputs"]] == ["predict", "prediction_id"]


def test_model_ready(app: AsgiApp) -> None:
    for path in ("/v2/models/late/ready", "/v2/models/late/versions/1/ready"):
        assert (get(app, path).status, get(app, path).json) == (200, {"name": "late", "ready": True})
    for path in ("/v2/models/nowhere/ready", "/v2/models/late/versions/7/ready", "/v2/models/late/versions/x"):
        assert get(app, path).status == 404
        assert list(get(app, path).json) == ["error"]


def test_infer_by_columns(app: AsgiApp, home: ServingHome) -> None:
    reply = infer(app, COLUMNS, id="42")
    assert {name: reply.json[name] for name in ("model_name", "model_version", "id")} == {
        "model_name": "late",
        "model_version": "1",
        "id": "42",
    }
    answer = outputs(reply)
    matrix = np.array([[1400, 12.5, 0, 1], [200, np.nan, 1, 2]], np.float32)
    model = fitted("linear, text").model
    assert answer["predict"]["data"] == model.predict(matrix).tolist()
    assert answer["predict"]["shape"] == [2]
    assert answer["probabilities"]["shape"] == [2, 2]
    assert np.allclose(answer["probabilities"]["data"], model.predict_proba(matrix).ravel(), atol=1e-5)


def test_infer_by_matrix_nested_or_flat(app: AsgiApp) -> None:
    flat = MATRIX | {"data": [value for row in MATRIX["data"] for value in row]}  # type: ignore[attr-defined]
    first, second = outputs(infer(app, [MATRIX])), outputs(infer(app, [flat]))
    assert first == second
    rows = json.dumps({"rows": [ROW]}).encode()
    native = call(app, "/api/v1/endpoints/late/predict", [rows]).json["predictions"][0]
    assert first["probabilities"]["data"][:2] == pytest.approx(list(native["probabilities"].values()), abs=1e-6)


def test_only_requested_outputs_return_in_their_order(app: AsgiApp, home: ServingHome) -> None:
    reply = infer(app, [MATRIX], outputs=[{"name": "prediction_id"}, {"name": "predict"}])
    assert list(outputs(reply)) == ["prediction_id", "predict"]
    ids = outputs(reply)["prediction_id"]["data"]
    assert home.reader.get(ids[1]).inputs == {"distance": 200, "wind": 3, "low_visibility": True, "carrier": "c02"}
    assert "id" not in reply.json


def test_a_client_that_would_take_binary_gets_json(app: AsgiApp) -> None:
    assert outputs(infer(app, [MATRIX], parameters={"binary_data_output": True}))
    assert outputs(infer(app, [MATRIX], outputs=[{"name": "predict", "parameters": {"binary_data": True}}]))


def test_integers_and_regressions(app: AsgiApp) -> None:
    assert outputs(infer(app, [MATRIX], "grade"))["probabilities"]["shape"] == [2, 3]
    delay = outputs(infer(app, [MATRIX], "delay"))
    assert list(delay) == ["predict"]
    assert delay["predict"]["datatype"] == "FP64"


def broken(**changes: Any) -> list[Any]:
    return [MATRIX | changes]


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        broken(shape=[2, 3]),
        broken(shape=[3, 4]),
        broken(shape=[-2, -4]),
        broken(shape=[2, 4, 1]),
        broken(shape=[10**9, 4]),
        broken(datatype="FP16"),
        broken(datatype="BYTES"),
        broken(datatype="INT8"),
        broken(data=[[1, 2, 3, 4], 5]),
        broken(data=[["1"] * 4] * 2),
        broken(data=[[1400, 12.5, 2, 1], [200, 3, 1, 2]]),
        broken(data=[[1400, 12.5, 0, 1.5], [200, 3, 1, 2]]),
        broken(data=[[1400, 12.5, 0, 99], [200, 3, 1, 2]]),
        broken(data=[[1e39, 12.5, 0, 1], [200, 3, 1, 2]]),
        broken(data=None, parameters={"binary_data_size": 32}),
        [COLUMNS[0], COLUMNS[0]],
        [COLUMNS[0], COLUMNS[1] | {"shape": [1], "data": [3.0]}],
        [COLUMNS[0] | {"name": "stranger"}, COLUMNS[1]],
        [COLUMNS[0] | {"datatype": "BYTES", "data": ["far", "near"]}],
        ["distance"],
        7,
    ],
)
def test_what_is_wrong_is_an_error_in_the_protocols_form(app: AsgiApp, home: ServingHome, inputs: Any) -> None:
    before = home.logged()
    reply = infer(app, inputs)
    assert reply.status == 400
    assert list(reply.json) == ["error"]
    assert reply.json["error"]
    assert home.logged() == before


def test_an_unknown_output_is_refused_before_anything_is_logged(app: AsgiApp, home: ServingHome) -> None:
    before = home.logged()
    reply = infer(app, [MATRIX], outputs=[{"name": "log_proba"}])
    assert (reply.status, list(reply.json)) == (400, ["error"])
    assert home.logged() == before


def test_binary_tensors_are_refused_cleanly(app: AsgiApp) -> None:
    headers = {
        "inference-header-content-length": "2",
        "content-length": "34",
        "content-type": "application/octet-stream",
    }
    reply = call(app, "/v2/models/late/infer", [b"{}" + b"\0" * 32], headers=headers)
    assert reply.status == 400
    assert "binary" in reply.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/late/infer", 405),
        ("POST", "/v2/models/late", 405),
        ("POST", "/v2/health/live", 405),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/late/config", 404),
        ("GET", "/v2/models/late/versions/1/stats", 404),
        ("POST", "/v2/repository/index", 404),
        ("POST", "/v2/models/nowhere/infer", 404),
        ("GET", "/v2/trace/setting", 404),
    ],
)
def test_every_other_path_answers_in_the_protocols_form(app: AsgiApp, method: str, path: str, status: int) -> None:
    reply = call(app, path, [b'{"inputs": []}'], method=method)
    assert reply.status == status
    assert list(reply.json) == ["error"]
    assert reply.headers.get("allow") == (("POST" if method == "GET" else "GET, HEAD") if status == 405 else None)


def test_roles_and_types_hold_here_too(app: AsgiApp) -> None:
    body = json.dumps({"inputs": [MATRIX]}).encode()
    for headers, status in (
        ({"authorization": "Bearer stranger"}, 403),
        ({"authorization": "Basic x"}, 401),
        ({"content-type": "text/plain"}, 415),
        ({"content-encoding": "gzip"}, 415),
    ):
        reply = call(app, "/v2/models/late/infer", [body], headers=headers)
        assert (reply.status, list(reply.json)) == (status, ["error"])


tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["X", "wind", "carrier", "?"]),
        "shape": st.lists(st.integers(-1, 4), max_size=3),
        "datatype": st.sampled_from(["FP32", "BYTES", "BOOL", "INT8", "FP16", ""]),
        "data": st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=3), lambda inner: st.lists(inner)
        ),
    }
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inputs=st.lists(tensors, max_size=3))
def test_any_tensors(app: AsgiApp, inputs: list[Any]) -> None:
    reply = infer(app, inputs)
    if reply.status == 200:
        assert b"NaN" not in reply.body
    else:
        assert (reply.status, list(reply.json)) == (400, ["error"])
