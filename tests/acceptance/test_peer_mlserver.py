"""The same scikit-learn model behind MLServer and behind us, asked by the same tritonclient: the same answers."""

import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.contract.models.fitted_models import COLUMNS, flights
from tests.contract.models.kept_models import Trained
from tests.peers.peer import Peer
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.models.records import StagePolicy
from tidegate.workspace import open_local

pytestmark = pytest.mark.peers

ROWS = 200
SAME = 1e-5


class Both(NamedTuple):
    """Two servers with one model, and what scikit-learn itself says of the rows."""

    mlserver: str
    tidegate: str
    rows: list[list[float]]
    probabilities: NDArray[np.float64]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def both(peer: Callable[[str], Peer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """MLServer with the models `sum` and `late`, and a server of ours with the endpoint `late`."""
    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folder = tmp_path_factory.mktemp("both")
    matrix, delay = flights(nulls=False)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, (delay > 2.0).astype(int))
    joblib.dump(model, folder / "late.joblib")
    address, log = f"127.0.0.1:{free_port()}", folder / "log"
    arguments = [address.partition(":")[2], str(free_port()), str(folder / "models"), str(folder / "late.joblib")]
    settings = Settings(home=str(folder / "home"))
    with (
        peer("mlserver").serve("serve.py", *arguments, log=log) as process,
        open_local(settings) as workspace,
        serving(workspace) as url,
    ):
        version = workspace.models.log("late", model, inputs=Trained(matrix, COLUMNS))
        workspace.models.set_policy("late", "production", policy=StagePolicy())
        workspace.endpoints.deploy("late", workspace.models.promote("late", version.number, to="production"))
        deadline = time.monotonic() + 90
        while not all(_ready(f"http://{address}/v2/models/{name}/ready") for name in ("sum", "late")):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.2)
        asked = matrix[:ROWS]
        yield Both(address, url.removeprefix("http://"), asked.astype(float).tolist(), model.predict_proba(asked))


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_tritonclient_reads_the_answers_of_mlserver(peer: Callable[[str], Peer], both: Both) -> None:
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    calls = [
        {"call": "server_live"},
        {"call": "server_ready"},
        {"call": "model_ready", "model": "sum"},
        {"call": "model_metadata", "model": "sum"},
        {"call": "infer", "model": "sum", "id": "r-1", "inputs": [{"name": "x", "datatype": "FP64", "data": rows}]},
        {"call": "infer", "model": "nobody", "inputs": [{"name": "x", "datatype": "FP64", "data": rows}]},
    ]
    live, ready, model_ready, metadata, infer, unknown = peer("tritonclient").run(
        "driver.py", address=both.mlserver, calls=calls
    )
    assert [one["result"] for one in (live, ready, model_ready)] == [True, True, True]
    assert metadata["result"]["name"] == "sum"
    assert infer["result"]["response"]["id"] == "r-1"
    (values,) = infer["result"]["outputs"].values()
    assert [round(value, 6) for value in _flat(values)] == [6.0, 15.0]
    assert "error" in unknown


def test_both_servers_answer_the_same(peer: Callable[[str], Peer], both: Both) -> None:
    tensor = {"name": "flights", "datatype": "FP64", "data": both.rows}
    asked: dict[str, list[str]] = {
        both.mlserver: ["predict", "predict_proba"],
        both.tidegate: ["predict", "probabilities"],
    }
    answers = {}
    for address, outputs in asked.items():
        calls: list[dict[str, Any]] = [
            {"call": "server_live"},
            {"call": "server_ready"},
            {"call": "model_ready", "model": "late"},
            {"call": "model_metadata", "model": "late"},
            {"call": "infer", "model": "late", "id": "r-2", "inputs": [tensor], "outputs": outputs},
            {"call": "infer", "model": "nobody", "inputs": [tensor]},
        ]
        live, ready, known, metadata, infer, unknown = peer("tritonclient").run(
            "driver.py", address=address, calls=calls
        )
        assert [one["result"] for one in (live, ready, known)] == [True, True, True]
        assert metadata["result"]["name"] == "late"
        assert infer["result"]["response"]["id"] == "r-2"
        assert "error" in unknown
        values, probabilities = (infer["result"]["outputs"][name] for name in outputs)
        answers[address] = _flat(values), np.asarray(probabilities, dtype=float)
    theirs, ours = answers[both.mlserver], answers[both.tidegate]
    assert theirs[1].shape == ours[1].shape == (ROWS, 2)
    assert ours[0] == theirs[0]
    assert np.abs(ours[1] - theirs[1]).max() <= SAME
    assert np.abs(theirs[1] - both.probabilities).max() <= SAME


def _flat(values: list[object]) -> list[float]:
    return [float(str(one[0] if isinstance(one, list) else one)) for one in values]
