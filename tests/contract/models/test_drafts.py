"""Files of models that runs leave, seen in four ways: told, measured, searched for, made into versions."""

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest

from tests.contract.models.late_models import flights, registered
from tidegate.kernel.clock import parse_instant
from tidegate.kernel.errors import Conflict, Invalid, NotFound, Refused
from tidegate.models.records import Draft, DraftMetric
from tidegate.runs.records import Artifact, Metric, Run
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace

MLMODEL = b"""artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
  sklearn:
    pickled_model: model.pkl
run_id: 1
!!python/object/apply:os.system ["true"]
"""


def artifact(workspace: Workspace, name: str, content: bytes = b"bytes") -> Artifact:
    info = workspace.objects.put(content)
    return Artifact(name, info.digest, info.size)


def draft(workspace: Workspace, name: str = "late", run: Run | None = None, experiment: str = "flights") -> Draft:
    made = workspace.drafts.create(experiment, name, run_id="" if run is None else run.id)
    files = (artifact(workspace, "MLmodel", MLMODEL), artifact(workspace, "data/model.pkl"))
    return workspace.drafts.log(made.id, files=files)


def test_a_draft_is_told_and_finished(workspace: Workspace) -> None:
    run = workspace.runs.create("flights")
    made = workspace.drafts.create(
        "flights", "late", run_id=run.id, kind="agent", params={"depth": "3"}, tags={"a": "b"}
    )
    assert (made.status, made.run_id, made.kind, made.params, made.tags) == (
        "pending",
        run.id,
        "agent",
        {"depth": "3"},
        {"a": "b"},
    )
    told = workspace.drafts.log(made.id, params={"depth": "3", "rate": "1"}, tags={"a": "c", "d": ""})
    assert (told.params, told.tags) == ({"depth": "3", "rate": "1"}, {"a": "c", "d": ""})
    with pytest.raises(Conflict, match="keeps its first value"):
        workspace.drafts.log(made.id, tags={"a": "x"}, params={"depth": "4"})
    assert workspace.drafts.delete_tag(made.id, tag="d").tags == {"a": "c"}
    assert workspace.drafts.finish(made.id).status == "ready"
    assert workspace.drafts.finish(made.id, status="failed").status == "failed"
    assert workspace.drafts.delete(made.id).id == made.id
    gone: list[Callable[[], object]] = [
        lambda: workspace.drafts.get(made.id),
        lambda: workspace.drafts.log(made.id),
    ]
    for act in gone:
        with pytest.raises(NotFound, match="no draft"):
            act()


def test_what_cannot_be_kept_is_refused_whole(workspace: Workspace) -> None:
    made = draft(workspace)
    acts: list[Callable[[], object]] = [
        lambda: workspace.drafts.create("flights", ""),
        lambda: workspace.drafts.create("flights", "a/b"),
        lambda: workspace.drafts.create("flights", "x" * 251),
        lambda: workspace.drafts.log(made.id, tags={"t": "1"}, files=(Artifact("../x", "0" * 64, 1),)),
        lambda: workspace.drafts.log(made.id, tags={"t": "1"}, files=(Artifact("x", "0" * 64, 1),)),
        lambda: workspace.drafts.log(made.id, tags={"t": "1"}, metrics=(DraftMetric(name="", value=1.0),)),
        lambda: workspace.drafts.log(made.id, metrics=(DraftMetric(name="m", value=1.0, dataset_digest="d" * 37),)),
        lambda: workspace.drafts.log(made.id, params={"p": "x" * 6001}),
        lambda: workspace.drafts.search("name = 'late'"),
        lambda: workspace.drafts.search("colour = 'red'", experiments=("flights",)),
        lambda: workspace.drafts.search("params.depth >= 3", experiments=("flights",)),
        lambda: workspace.drafts.search("params.number(depth) = 3", experiments=("flights",)),
        lambda: workspace.drafts.search("datasets.name = 'x'", experiments=("flights",)),
        lambda: workspace.drafts.link(made.id, run_id=workspace.runs.create("flights").id, step=2**63),
    ]
    for act in acts:
        with pytest.raises(Invalid):
            act()
    assert workspace.drafts.get(made.id) == made
    with pytest.raises(NotFound, match="no run"):
        workspace.drafts.create("flights", "late", run_id="0" * 32)


def test_measurements_and_uses_are_kept_once(workspace: Workspace) -> None:
    run, made = workspace.runs.create("flights"), draft(workspace)
    at = parse_instant("2013-01-01T00:00:00Z")
    metrics = [
        DraftMetric(name="auc", value=value, step=step, at=at, run_id=run.id, dataset="held-out", dataset_digest="d1")
        for step, value in enumerate((0.5, nan, inf))
    ]
    for _ in range(2):
        workspace.drafts.log(made.id, metrics=tuple(metrics))
        workspace.drafts.link(made.id, run_id=run.id, step=3)
    workspace.drafts.link(made.id, run_id=run.id, role="input")
    kept = workspace.drafts.get(made.id).metrics
    assert [str(one.value) for one in kept] == ["0.5", "nan", "inf"]
    assert (kept[0].dataset, kept[0].run_id, kept[0].at) == ("held-out", run.id, at)
    found = workspace.drafts.of_runs((run.id, "0" * 32))
    assert {(one.role, one.step, one.draft_id) for one in found} == {("output", 3, made.id), ("input", 0, made.id)}


def test_a_run_and_what_it_measured_of_drafts_are_told_together(workspace: Workspace) -> None:
    run, one, other = workspace.runs.create("flights"), draft(workspace), draft(workspace, "later")
    at = parse_instant("2013-01-01T00:00:00Z")
    of: dict[str, tuple[DraftMetric, ...]] = {
        one.id: (DraftMetric(name="auc", value=0.8, step=1, at=at, dataset="held-out"),),
        other.id: (DraftMetric(name="auc", value=0.7), DraftMetric(name="loss", value=nan)),
    }
    told = workspace.drafts.measure(
        run.id, measured=of, params={"depth": 3}, metrics=(Metric(name="auc", value=0.8),), tags={"a": "b"}
    )
    assert (told.run_id, told.params, told.metrics, told.tags) == (run.id, 1, 1, 1)
    kept = workspace.drafts.get(one.id)
    assert kept.metrics == (DraftMetric(name="auc", value=0.8, step=1, at=at, run_id=run.id, dataset="held-out"),)
    assert kept.updated_at > one.updated_at
    assert [(each.name, each.run_id) for each in workspace.drafts.get(other.id).metrics] == [
        ("auc", run.id),
        ("loss", run.id),
    ]
    before = workspace.runs.get(run.id), workspace.drafts.get(one.id)
    assert before[0].tags == {"a": "b"}
    more: dict[str, tuple[DraftMetric, ...]] = {one.id: (DraftMetric(name="new", value=1.0),)}
    wrong: list[tuple[type[Exception], dict[str, Any]]] = [
        (Conflict, {"measured": more, "params": {"depth": 4}}),
        (NotFound, {"measured": more | {"0" * 32: more[one.id]}, "tags": {"a": "c"}}),
        (Invalid, {"measured": {one.id: (DraftMetric(name=" ", value=1.0),)}, "tags": {"a": "c"}}),
        (Invalid, {"measured": more, "metrics": (Metric(name="", value=1.0),)}),
    ]
    for error, given in wrong:
        with pytest.raises(error):
            workspace.drafts.measure(run.id, **given)
    with pytest.raises(NotFound, match="no run"):
        workspace.drafts.measure("0" * 32, measured=more)
    assert (workspace.runs.get(run.id), workspace.drafts.get(one.id)) == before
    workspace.runs.finish(run.id)
    with pytest.raises(Conflict, match="has ended"):
        workspace.drafts.measure(run.id, measured=more)
    workspace.drafts.measure(run.id, measured=more, late=True)
    assert len(workspace.drafts.get(one.id).metrics) == 2


def test_drafts_are_searched_for_and_paged_through(workspace: Workspace) -> None:
    workspace.experiments.create("other")
    ids = {}
    for place in range(5):
        ids[place] = draft(workspace, f"m{place}").id
        workspace.drafts.log(ids[place], params={"depth": str(place)}, tags={"team": "ops" if place % 2 else "risk"})
        if place < 4:
            metrics = (
                DraftMetric(name="auc", value=place / 10, dataset="train", dataset_digest="1"),
                DraftMetric(name="auc", value=1 - place / 10, step=1, dataset="test", dataset_digest="2"),
            )
            workspace.drafts.log(ids[place], metrics=metrics)
    workspace.drafts.finish(ids[0])

    def names(filter: str = "", *order: str, datasets: tuple[tuple[str, str], ...] = ()) -> str:
        page = workspace.drafts.search(filter, experiments=("flights",), order_by=order, datasets=datasets)
        return "".join(one.name[1] for one in page.items)

    assert names() == "43210"
    assert names("name IN ('m1', 'm2') AND tags.team = 'ops'") == "1"
    assert names("params.depth != '3' AND tags.team = 'ops'") == "1"
    assert names("status = 'READY' OR status = 'ready'") == "0"
    workspace.drafts.log(ids[4], metrics=(DraftMetric(name="loss", value=nan),))
    assert names("metrics.loss != 0.5") == names("metrics.loss IS NOT NULL") == "4"
    assert names("metrics.loss < 0.5 OR metrics.loss >= 0.5") == ""
    assert names("metrics.auc >= 0.9") == "10"
    assert names("metrics.auc >= 0.2", datasets=(("train", ""),)) == "32"
    assert names("metrics.auc >= 0.2", datasets=(("train", "2"),)) == ""
    assert names("", "metrics.auc ASC") == "32104"
    assert names("", "metrics.auc DESC", datasets=(("train", "1"),)) == "32104"
    assert names("", "params.depth DESC") == "43210"
    assert workspace.drafts.search(experiments=("other",)).items == []
    for order in ((), ("metrics.auc DESC",), ("name",)):
        whole = workspace.drafts.search(experiments=("flights",), order_by=order).items
        paged: list[Draft] = []
        cursor = ""
        while True:
            page = workspace.drafts.search(experiments=("flights",), order_by=order, limit=2, cursor=cursor)
            paged += page.items
            if page.next is None:
                break
            cursor = page.next
        assert [one.id for one in paged] == [one.id for one in whole]


def test_a_draft_becomes_a_version_that_knows_run_and_data(home: Home) -> None:
    workspace = home.workspace
    workspace.data.commit("flights", flights(20, 1))
    run = workspace.runs.create("flights", inputs=("flights/1",))
    made = draft(workspace, run=run)
    version = workspace.drafts.adopt("late", draft_id=made.id, note="first", tags={"a": "b"})
    manifest = version.manifest
    assert (version.run_id, version.note, version.tags) == (run.id, "first", {"a": "b"})
    assert (manifest.format, manifest.runtime, manifest.signature) == ("mlflow", "", None)
    assert manifest.files == {one.name: one.digest for one in made.files}
    assert manifest.facts == {"draft": made.id, "flavors": "python_function, sklearn"}
    assert [one.label for one in manifest.origins] == ["flights/1"]
    assert workspace.drafts.adopt("late", draft_id=made.id) == version
    workspace.drafts.delete(made.id)
    assert workspace.objects.get(version.manifest.files["data/model.pkl"]) == b"bytes"
    with pytest.raises(Refused, match="no server loads it"):
        workspace.models.load(version)


def test_artifacts_of_a_run_and_versions_of_other_models_become_versions(workspace: Workspace) -> None:
    run = workspace.runs.create("flights")
    files = tuple(artifact(workspace, name, name.encode()) for name in ("model/MLmodel", "model/a/b", "modelled", "x"))
    workspace.runs.log(run.id, artifacts=files)
    version = workspace.drafts.adopt("late", run_id=run.id, path="model")
    assert set(version.manifest.files) == {"MLmodel", "a/b"}
    assert set(workspace.drafts.adopt("whole", run_id=run.id).manifest.files) == {one.name for one in files}
    ours = registered(workspace, "ours")
    copy = workspace.drafts.adopt("copied", version="ours/1")
    assert (copy.manifest.runtime, copy.manifest.files, copy.number) == ("onnx", ours.manifest.files, 1)
    assert copy.digest != ours.digest
    acts: list[Callable[[], object]] = [
        lambda: workspace.drafts.adopt("late", run_id=run.id, path="nothing"),
        lambda: workspace.drafts.adopt("late", run_id=run.id, path="../model"),
        lambda: workspace.drafts.adopt("late", run_id=run.id, path="/model"),
        lambda: workspace.drafts.adopt("late", run_id=run.id, version="ours/1"),
        lambda: workspace.drafts.adopt("late"),
        lambda: workspace.drafts.adopt("a/b", run_id=run.id, path="model"),
    ]
    for act in acts:
        with pytest.raises(Invalid):
            act()
    assert workspace.models.model("late").versions == 1
