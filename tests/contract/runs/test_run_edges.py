"""What a run leaves for others: edges from its data, code and environment, facts, and audit rows."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tidegate.events.store import EventLog
from tidegate.lineage.records import Node
from tidegate.lineage.store import LineageGraph

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    commit = ["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--message", "Begin"]
    (folder / "train.py").write_text("rate = 0.1\n")
    for arguments in (["init"], ["add", "."], commit):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)
    monkeypatch.chdir(folder)
    return folder


def test_edges_lead_from_data_code_and_environment_to_the_run(home: "Home", repository: Path) -> None:
    version = home.workspace.data.commit("points", pl.DataFrame({"x": [1.0, 2.0]}))
    (repository / "train.py").write_text("rate = 0.2\n")
    with home.workspace.runs.start("late", inputs=[version]) as run:
        pass
    done = home.workspace.runs.get(run.id)
    assert done.environment is not None
    assert done.code.key is not None
    graph = LineageGraph(home.inside.storage.catalog)
    sources = {edge.role: edge.source for edge in graph.into(Node("run", run.id))}
    assert sources["input"] == Node("dataset", version.digest, "points/1")
    assert (sources["code"].kind, sources["code"].key) == ("code", done.code.key)
    assert "(changed)" in sources["code"].label
    assert sources["environment"].key == done.environment.packages_digest
    assert [edge.target.key for edge in graph.out_of(Node("dataset", version.digest))] == [run.id]


def test_changes_are_told_as_facts(home: "Home") -> None:
    version = home.workspace.data.commit("points", pl.DataFrame({"x": [1.0, 2.0]}))
    home.workspace.data.commit("points", pl.DataFrame({"x": [1.0, 2.0]}))
    run = home.workspace.runs.create("late")
    home.workspace.runs.log(run.id, tags={"a": "b"})
    home.workspace.runs.finish(run.id, status="failed", error="stopped")
    catalog = home.inside.storage.catalog
    rows = EventLog(catalog, home.inside.storage.clock, home.inside.storage.ids).after(0)
    told = [(one.type, one.subject) for one in rows if one.type.startswith(("tidegate.data", "tidegate.runs"))]
    assert told == [
        ("tidegate.data.contract_set", "points"),
        ("tidegate.data.committed", str(version)),
        ("tidegate.runs.started", run.id),
        ("tidegate.runs.failed", run.id),
    ]


def test_a_run_is_audited_when_it_begins_and_ends_not_when_it_logs(home: "Home") -> None:
    run = home.workspace.runs.create("late")
    home.workspace.runs.log(run.id, tags={"a": "b"})
    home.workspace.runs.finish(run.id)
    operations = [row.operation for row in home.workspace.audit.list().items]
    assert sorted(one for one in operations if one.startswith("runs.")) == ["runs.create", "runs.finish"]
