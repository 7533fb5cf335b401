"""The real mlflow client finds a server that conforms to its own version."""

from collections.abc import Callable
from pathlib import Path

from tests.peers.peer import Peer
from tidegate.http.thread import serving
from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local


def test_the_client_reads_version_and_health(peer: Callable[[str], Peer], tmp_path: Path) -> None:
    """With and without a token; `/version` names the version that we conform to, which is that of the locked client."""
    settings, client = Settings(home=str(tmp_path / "home")), peer("mlflow")
    with open_local(settings) as workspace, serving(workspace) as url:
        token = workspace.people.new_token("local").token
        for given in ("", token):
            found = client.run("driver.py", address=url, token=given)
            assert found["answers"] == {
                "/version": {"status": 200, "text": settings.mlflow_version},
                "/health": {"status": 200, "text": "OK"},
            }
        assert client.newest or found["client"] == settings.mlflow_version


def test_the_version_is_a_setting(peer: Callable[[str], Peer], tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path / "home"), mlflow_version="3.18.0", auth="token")
    with open_local(settings) as workspace, serving(workspace) as url:
        answers = peer("mlflow").run("driver.py", address=url)["answers"]
    assert answers["/version"] == {"status": 200, "text": "3.18.0"}


SEARCHED = {
    "metric": ["2", "3"],
    "param": ["3"],
    "tag": ["1", "3", "5"],
    "like": ["0", "2", "4"],
    "ilike": ["0", "2", "4"],
    "case": [],
    "status": ["4", "5"],
    "name": ["1", "4"],
    "null": ["4", "5"],
    "order": ["4", "3", "2", "1", "0", "5"],
    "tokens": [True, False],
    "fluent": ["3", "4"],
    "wrong": "INVALID_PARAMETER_VALUE",
    "broken": "INVALID_PARAMETER_VALUE",
}


def test_runs_are_tracked_by_the_client_as_it_is(peer: Callable[[str], Peer], tmp_path: Path) -> None:
    """Experiments, the fluent interface, the client class and artifacts; then the same runs through our own rooms."""
    with open_local(Settings(home=str(tmp_path / "home"))) as workspace, serving(workspace) as url:
        found = peer("mlflow").run("tracking.py", address=url)
        run = workspace.runs.get(found["fluent"]["id"])
        names = [one.name for one in workspace.experiments.list().items]
    assert found["experiments"] == {
        "id": True,
        "twice": "RESOURCE_ALREADY_EXISTS",
        "tags": {"team": "ops", "stage": "first"},
        "deleted": "deleted",
        "deleted name": "RESOURCE_ALREADY_EXISTS",
        "active": ["Default", "arrivals"],
        "gone": ["other"],
        "restored": "active",
        "nobody": None,
        "unknown": "RESOURCE_DOES_NOT_EXIST",
    }
    fluent = found["fluent"]
    assert (fluent["name"], fluent["status"], fluent["ended"], fluent["parent"]) == ("outer", "FINISHED", True, True)
    assert fluent["params"] == {"depth": "3", "rate": "0.1", "on": "True"}
    assert fluent["metrics"] == {"loss": "0.2", "auc": "0.75", "nan": "nan", "inf": "inf"}
    assert fluent["tags"] == {"a": "b", "note": "fluent", "mlflow.runName": "outer"}
    assert fluent["history"] == [[step, 1 / (step + 1)] for step in range(5)]
    assert found["calls"] == {
        "start": 1_700_000_000_000,
        "params": {"p": "1"},
        "tags": {"x": "y"},
        "latest": 999.0,
        "late": 1.0,
        "name": "renamed",
        "status": "RUNNING",
        "conflict": "INVALID_PARAMETER_VALUE",
        "deleted": "deleted",
        "while deleted": "INVALID_PARAMETER_VALUE",
        "unknown": "RESOURCE_DOES_NOT_EXIST",
        "history": 1000,
        "restored": "active",
    }
    assert found["artifacts"] == {
        "same": True,
        "text": "grüße",
        "root": [["model", True, None], ["notes", True, None], ["settings.json", False, 12]],
        "model": [["model/parts", True]],
    }
    assert found["parts"] == {"same": True, "files": [["model/weights.bin", 12_000_000]]}
    assert found["search"] == SEARCHED
    told = {"source_type": "local", "source": '{"uri": "flights.parquet"}', "schema": "{}", "profile": "{}"}
    assert found["inputs"] == [{"name": "flights", "digest": "abc123", **told, "mlflow.data.context": "training"}]
    assert (run.name, run.status, run.params["depth"], run.metrics["loss"]) == ("outer", "finished", "3", 0.2)
    assert {"fluent", "arrivals", "calls", "Default"} <= set(names)
