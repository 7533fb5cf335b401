"""The real tritonclient against our server: an endpoint is a model to it, asked with JSON tensors."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.contract.endpoints.serving_home import ROW
from tests.contract.models.fitted_models import fitted
from tests.integration.http.served_home import ServedHome, log_version
from tests.peers.peer import Peer
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local

COLUMNS: list[dict[str, Any]] = [
    {"name": "distance", "datatype": "FP32", "data": [1400.0, 200.0, 650.0]},
    {"name": "wind", "datatype": "FP64", "data": [12.5, 3.0, 40.25]},
    {"name": "low_visibility", "datatype": "BOOL", "data": [False, True, False]},
    {"name": "carrier", "datatype": "BYTES", "data": ["c01", "c02", "c04"]},
]
MATRIX = [[1400.0, 12.5, 0.0, 1.0], [200.0, 3.0, 1.0, 2.0], [650.0, 40.25, 0.0, 4.0]]

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHome]:
    """Two endpoints: `late` (two classes, numbers and a category) and `delay` (a regression)."""
    settings = Settings(home=str(tmp_path_factory.mktemp("triton") / "home"))
    with open_local(settings) as workspace, serving(workspace) as url:
        workspace.endpoints.deploy("late", log_version(workspace, "late", "columns apart"))
        workspace.endpoints.deploy("delay", log_version(workspace, "delay", "regression"))
        yield ServedHome(workspace, url)


@pytest.fixture(scope="module")
def ask(peer: Callable[[str], Peer], served: ServedHome) -> Ask:
    """Runs calls of the client in its own environment."""

    def run(*calls: dict[str, Any], token: str = "") -> list[dict[str, Any]]:
        address = served.url.removeprefix("http://")
        answers: list[dict[str, Any]] = peer("tritonclient").run("driver.py", address=address, calls=calls, token=token)
        return answers

    return run


def test_the_client_finds_server_and_models(ask: Ask) -> None:
    live, ready, server, known, numbered, unknown, metadata = ask(
        {"call": "server_live"},
        {"call": "server_ready"},
        {"call": "server_metadata"},
        {"call": "model_ready", "model": "late"},
        {"call": "model_ready", "model": "late", "version": "1"},
        {"call": "model_ready", "model": "nobody"},
        {"call": "model_metadata", "model": "late"},
    )
    assert [one["result"] for one in (live, ready, known, numbered)] == [True] * 4
    assert server["result"]["name"] == "tidegate"
    assert unknown.get("result") is False or "error" in unknown
    described = metadata["result"]
    assert (described["name"], described["versions"]) == ("late", ["1"])
    assert [(each["name"], each["datatype"]) for each in described["inputs"]] == [
        ("distance", "FP32"),
        ("wind", "FP32"),
        ("low_visibility", "BOOL"),
        ("carrier", "BYTES"),
    ]
    assert [each["name"] for each in described["outputs"]] == ["predict", "probabilities", "prediction_id"]


def test_tensors_by_column_are_answered_as_the_model_answers(ask: Ask, served: ServedHome) -> None:
    (answer,) = ask(
        {
            "call": "infer",
            "model": "late",
            "id": "r-7",
            "inputs": COLUMNS,
            "outputs": ["prediction_id", "predict", "probabilities"],
        }
    )
    response, outputs = answer["result"]["response"], answer["result"]["outputs"]
    assert (response["id"], response["model_name"], response["model_version"]) == ("r-7", "late", "1")
    model = fitted("columns apart").model
    expected = model.predict_proba(np.asarray(MATRIX, dtype=np.float32))
    assert np.abs(np.asarray(outputs["probabilities"]) - expected).max() <= 1e-5
    assert outputs["predict"] == model.predict(np.asarray(MATRIX, dtype=np.float32)).tolist()
    for id_, row in zip(outputs["prediction_id"], MATRIX, strict=True):
        logged = served.inside.predictions.get(id_)
        assert (logged.id, logged.endpoint, logged.inputs["distance"]) == (id_, "late", row[0])


def test_a_matrix_and_a_regression(ask: Ask) -> None:
    matrix = [{"name": "rows", "datatype": "FP32", "data": MATRIX}]
    by_matrix, by_column, delays = ask(
        {"call": "infer", "model": "late", "inputs": matrix},
        {"call": "infer", "model": "late", "inputs": COLUMNS},
        {"call": "infer", "model": "delay", "inputs": matrix},
    )
    assert by_matrix["result"]["outputs"] == by_column["result"]["outputs"]
    expected = fitted("regression").model.predict(np.asarray(MATRIX, dtype=np.float32))
    assert np.allclose(delays["result"]["outputs"]["predict"], expected, rtol=1e-5)
    assert set(delays["result"]["outputs"]) == {"predict"}


def test_errors_come_in_the_protocols_form(ask: Ask, served: ServedHome) -> None:
    """The client finds the text and the status; nothing of what was refused is logged."""
    ask({"call": "infer", "model": "late", "inputs": COLUMNS})  # the log is opened with the first row that is asked for
    before = served.kept()
    far = {**COLUMNS[0], "datatype": "BYTES", "data": ["far"] * 3}
    unknown = {"name": "x", "datatype": "FP32", "data": [1.0, 2.0, 3.0]}
    shorter = [{**one, "data": one["data"][:2]} for one in COLUMNS[1:]]
    wrong = [
        ({"model": "nobody", "inputs": COLUMNS}, "404", "nobody"),
        ({"model": "late", "version": "7", "inputs": COLUMNS}, "404", "version"),
        ({"model": "late", "inputs": [*COLUMNS, unknown]}, "400", "x"),
        ({"model": "late", "inputs": [far, *COLUMNS[1:]]}, "400", "distance"),
        ({"model": "late", "inputs": [COLUMNS[0], *shorter]}, "400", "rows"),
        ({"model": "late", "inputs": COLUMNS, "outputs": ["moods"]}, "400", "moods"),
    ]
    answers = ask(*({"call": "infer", **call} for call, _, _ in wrong))
    for answer, (_, status, told) in zip(answers, wrong, strict=True):
        assert status in str(answer["status"]), answer
        assert told in answer["error"], answer
    assert served.kept() == before


def test_tokens_and_roles_hold_for_the_client(ask: Ask, served: ServedHome) -> None:
    viewer = served.inside.people.add("triton-viewer", role="viewer").token
    contributor = served.inside.people.add("triton-contributor", role="contributor").token
    infer = {"call": "infer", "model": "late", "inputs": COLUMNS}
    read, refused = ask({"call": "model_metadata", "model": "late"}, infer, token=viewer)
    assert read["result"]["name"] == "late"
    assert "403" in str(refused["status"])
    assert "role contributor" in refused["error"]
    (answered,) = ask(infer, token=contributor)
    assert answered["result"]["outputs"]["predict"]
    live, stranger = ask({"call": "server_live"}, infer, token="tg_" + "x" * 43)
    assert live["result"] is True
    assert "401" in str(stranger["status"])


def test_our_own_client_sees_the_same(ask: Ask, served: ServedHome) -> None:
    row = {**ROW, "distance": 1400.0}
    (own,) = served.inside.endpoints.predict("late", [row]).predictions
    single = [{**one, "data": one["data"][:1]} for one in COLUMNS]
    (theirs,) = ask({"call": "infer", "model": "late", "inputs": single, "outputs": ["predict", "probabilities"]})
    outputs = theirs["result"]["outputs"]
    assert outputs["predict"] == [own.value]
    assert own.probabilities is not None
    assert outputs["probabilities"] == [list(own.probabilities.values())]
