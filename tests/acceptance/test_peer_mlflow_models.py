"""The real mlflow client logs, registers, loads and governs models; they are the models of our own operations."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.peer import Peer
from tidegate.http.thread import serving
from tidegate.kernel.errors import Refused
from tidegate.kernel.settings import Settings
from tidegate.lineage.records import Node
from tidegate.lineage.store import LineageGraph
from tidegate.workspace import open_local

NAME = "late-arrival"

REGISTRY = {
    "made": ["other", "about it", {"team": "ops"}],
    "other": ["another", "said anew", {"tier": "1"}],
    "by run": ["1", True, {"a": "b"}, "by its run", "READY"],
    "copied": ["another", "2"],
    "first": [{"c": "d"}, "told", "None"],
    "stages": {"1": "Archived", "2": "Staging"},
    "latest": {"Archived": "1", "Staging": "2"},
    "files": True,
    "aliased": "1",
    "aliases": {"challenger": "1"},
    "latest versions": ["1", "2"],
    "pages": [["another"], [NAME]],
    "search": ["another"],
    "ordered": [NAME, "another"],
    "versions": ["another/1", f"{NAME}/1"],
    "uri": f"mlflow-artifacts:/models/{NAME}/1",
}
REFUSALS = {
    "production code": "INVALID_STATE",
    "stage": "INVALID_PARAMETER_VALUE",
    "twice": "RESOURCE_ALREADY_EXISTS",
    "nobody": "RESOURCE_DOES_NOT_EXIST",
    "version": "RESOURCE_DOES_NOT_EXIST",
    "alias": "RESOURCE_DOES_NOT_EXIST",
    "folder": "INVALID_PARAMETER_VALUE",
    "bucket": "INVALID_PARAMETER_VALUE",
    "logged": "RESOURCE_DOES_NOT_EXIST",
    "deleted": "RESOURCE_DOES_NOT_EXIST",
    "kept": "READY",
    "gone": "RESOURCE_DOES_NOT_EXIST",
    "prompt": "ENDPOINT_NOT_FOUND",
}


@pytest.mark.slow
def test_models_are_logged_registered_and_loaded_by_the_client_as_it_is(
    peer: Callable[[str], Peer], tmp_path: Path
) -> None:
    with open_local(Settings(home=str(tmp_path / "home"))) as workspace, serving(workspace) as url:
        found = peer("mlflow").run("models.py", address=url, timeout=110)
        versions = {one.number: one for one in workspace.models.versions(NAME).items}
        model = workspace.models.model(NAME)
        draft = workspace.drafts.get(found["logged"]["model"].removeprefix("m-"))
        edges = LineageGraph(workspace.storage.catalog).into(Node("model", versions[1].digest))
        with pytest.raises(Refused, match="no server loads it"):
            workspace.models.load(versions[2])
    logged, refusals = found["logged"], found["refusals"]
    for way in ("id", "version", "alias", "run's", "second"):
        assert logged[way] is True, way
    assert (logged["status"], logged["params"], logged["latest"]) == ("READY", {"C": "1.0"}, [1, 0, 1])
    assert logged["metrics"] == [["auc", 0.9, True], ["f1", 0.8, True]]
    assert logged["run metrics"] == {"auc": 0.9, "f1": 0.8}
    assert (logged["tags"], logged["found"], logged["outputs"]) == ({"team": "ops", "gone": None}, [True], [[True, 0]])
    assert logged["files"] == ["MLmodel", "conda.yaml"]
    assert found["registry"] == REGISTRY
    assert "gate:quality was not run" in refusals["production"]
    assert "asks for 1 approval(s), there are 0" in refusals["production"]
    assert {name: code for name, code in refusals.items() if name != "production"} == REFUSALS
    assert (model.versions, model.aliases) == (2, {})
    assert (versions[1].stage, versions[2].stage) == ("archived", "staging")
    assert versions[1].manifest.files == {file.name: file.digest for file in draft.files}
    assert versions[1].manifest.facts["flavors"] == "python_function, sklearn"
    assert "model.skops" in versions[1].manifest.files
    assert "model.pkl" in versions[2].manifest.files
    assert [(edge.role, edge.source.key) for edge in edges] == [("produced", logged["run"])]
