"""The room of models, seen in four ways: versions, references, aliases, policies, attestations, lineage."""

from types import SimpleNamespace

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from tests.contract.models.late_models import late_rows, logged, manifest, registered, run_id
from tidegate.data.matrix import encode_frame, infer_columns
from tidegate.events.store import EventLog
from tidegate.kernel.context import Role
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from tidegate.lineage.records import Node
from tidegate.lineage.store import LineageGraph
from tidegate.models.records import ModelVersion, StagePolicy
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace


def test_the_same_manifest_again_answers_the_same_version(workspace: Workspace) -> None:
    first, second = registered(workspace, "late"), registered(workspace, "late")
    other = registered(workspace, "late", b"another model")
    assert first == second
    assert (first.number, other.number) == (1, 2)
    assert first.digest != other.digest
    assert first.created_by == "local"
    assert (first.stage, str(first)) == ("development", "late/1")


def test_one_manifest_under_two_names_is_two_subjects(workspace: Workspace) -> None:
    assert registered(workspace, "late").digest != registered(workspace, "later").digest


def test_every_kind_of_reference_finds_its_version(workspace: Workspace) -> None:
    first, second = registered(workspace, "late", b"1"), registered(workspace, "late", b"2")
    workspace.models.set_alias("late", "champion", number=1)
    assert workspace.models.get("late", 2) == second
    for reference, expected in {"late": second, "late/1": first, "late@champion": first}.items():
        assert workspace.models.resolve(reference) == expected
    assert workspace.models.resolve(first.digest) == first
    assert workspace.models.resolve(second.digest[:12]) == second
    for reference in ("late/3", "late/99999999999", "late@gone", "early", "0123456789ab"):
        with pytest.raises(NotFound):
            workspace.models.resolve(reference)
    with pytest.raises(Invalid):
        workspace.models.resolve("late/zero")


def test_a_digest_prefix_that_means_two_versions_is_refused(home: Home) -> None:
    registered(home.workspace, "late", b"1")
    store_of = home.inside.models._store
    version = home.workspace.models.get("late", 1)
    twin = msgspec.structs.replace(version, number=2, digest=version.digest[:20] + "0" * 44)
    home.inside.storage.catalog.write(lambda: store_of.add(twin))
    with pytest.raises(Invalid, match="more digits"):
        home.workspace.models.resolve(version.digest[:20])
    assert home.workspace.models.resolve(version.digest).number == 1


def test_lists_come_in_pages(workspace: Workspace) -> None:
    for name in ("b", "a", "c"):
        for content in (b"1", b"2", b"3"):
            registered(workspace, name, content)
    page = workspace.models.list(limit=2)
    assert [(one.name, one.versions) for one in page.items] == [("a", 3), ("b", 3)]
    assert page.next is not None
    assert [one.name for one in workspace.models.list(limit=2, cursor=page.next).items] == ["c"]
    newest = workspace.models.versions("a", limit=2)
    assert [one.number for one in newest.items] == [3, 2]
    assert newest.next is not None
    last = workspace.models.versions("a", limit=2, cursor=newest.next)
    assert ([one.number for one in last.items], last.next) == ([1], None)
    with pytest.raises(NotFound):
        workspace.models.versions("z")


def test_a_manifest_whose_bytes_are_not_kept_is_refused(workspace: Workspace) -> None:
    lost = msgspec.structs.replace(manifest(workspace, "late"), files={"model.onnx": "ab" * 32})
    with pytest.raises(Invalid, match=r"model\.onnx is not kept here"):
        workspace.models.register("late", lost)
    with pytest.raises(Invalid, match="was sent to"):
        workspace.models.register("late", manifest(workspace, "early"))
    with pytest.raises(Invalid, match="run_id"):
        workspace.models.register("late", manifest(workspace, "late", run_id="yesterday"))
    with pytest.raises(NotFound):
        workspace.models.versions("late")


def test_an_alias_moves_by_compare_and_swap(workspace: Workspace) -> None:
    registered(workspace, "late", b"1")
    registered(workspace, "late", b"2")
    workspace.models.set_alias("late", "champion", number=1, expected=0)
    with pytest.raises(Conflict, match="points at late/1, not at 0") as caught:
        workspace.models.set_alias("late", "champion", number=2, expected=0)
    assert caught.value.details["current"] == 1
    workspace.models.set_alias("late", "champion", number=2, expected=1)
    workspace.models.set_alias("late", "shadow", number=1)
    assert [(one.alias, one.number) for one in workspace.models.aliases("late")] == [("champion", 2), ("shadow", 1)]
    with pytest.raises(NotFound):
        workspace.models.set_alias("late", "champion", number=9)


def test_production_is_guarded_until_everything_is_there(home: Home) -> None:
    workspace = home.workspace
    version = registered(workspace, "late")
    with pytest.raises(Refused) as caught:
        workspace.models.promote("late", 1, to="production")
    missing = caught.value.details["missing"]
    assert isinstance(missing, list)
    assert [gap["what"] for gap in missing] == [
        "gate:quality was not run",
        "production asks for 1 approval(s), there are 0",
    ]
    workspace.models.attest("late", 1, kind="gate:quality", verdict="pass", policy_digest="ab" * 32)
    workspace.people.add("rita", role="approver")
    home.acting("rita").approvals.approve(version, reason="looked")
    assert workspace.models.promote("late", 1, to="production").stage == "production"
    assert workspace.models.get("late", 1).stage == "production"
    events = EventLog(home.inside.storage.catalog, home.inside.storage.clock, home.inside.storage.ids).after(0)
    promoted = next(event for event in events if event.type == "tidegate.models.promoted")
    assert (promoted.subject, promoted.actor) == ("late/1", "local")
    policy = workspace.models.policy("late", "production")
    assert promoted.data == {
        "before": "development",
        "to": "production",
        "policy": policy.digest,
        "approvers": ["rita"],
    }


def test_other_stages_are_free_and_standing_still_is_a_conflict(workspace: Workspace) -> None:
    registered(workspace, "late")
    for stage in ("staging", "archived", "development"):
        assert workspace.models.promote("late", 1, to=stage).stage == stage
    with pytest.raises(Conflict, match="is in development already"):
        workspace.models.promote("late", 1, to="development")
    with pytest.raises(NotFound):
        workspace.models.promote("late", 2, to="staging")


def test_an_admin_sets_what_a_stage_asks_for(home: Home) -> None:
    workspace = home.workspace
    registered(workspace, "late")
    before = workspace.models.policy("late", "production")
    assert (before.policy.gates, before.policy.approvals, before.set_by) == (("gate:quality",), 1, "")
    kept = workspace.models.set_policy("late", "production", policy=StagePolicy(gates=("gate:latency",)))
    assert workspace.models.policy("late", "production") == kept
    assert kept.set_by == "local"
    assert kept.digest != before.digest
    with pytest.raises(Refused, match="gate:latency was not run"):
        workspace.models.promote("late", 1, to="production")
    workspace.models.attest("late", 1, kind="gate:latency", verdict="pass")
    workspace.models.promote("late", 1, to="production")
    with pytest.raises(Invalid):
        workspace.models.set_policy("late", "staging", policy=StagePolicy(approvals=-1))
    workspace.people.add("max", role="maintainer")
    with pytest.raises(Forbidden, match="role admin"):
        home.acting("max").models.set_policy("late", "production", policy=StagePolicy())


def test_another_admin_overrides_a_gate_with_a_reason_and_approvals_still_count(home: Home) -> None:
    workspace = home.workspace
    version = registered(workspace, "late")
    workspace.models.attest("late", 1, kind="gate:quality", verdict="fail", reason="worse by 0.02")
    with pytest.raises(Refused, match="author of a version can never override"):
        workspace.models.override("late", 1, gate="gate:quality", reason="mine")
    people: dict[str, Role] = {"ada": "admin", "max": "maintainer", "rita": "approver"}
    for name, role in people.items():
        workspace.people.add(name, role=role)
    for person in ("max", "rita"):
        with pytest.raises(Forbidden, match="role admin"):
            home.acting(person).models.override("late", 1, gate="gate:quality", reason="a trial")
    ada = home.acting("ada")
    for gate, reason in (("quality", "a trial"), ("gate:quality", "  ")):
        with pytest.raises(Invalid):
            ada.models.override("late", 1, gate=gate, reason=reason)
    said = ada.models.override("late", 1, gate="gate:quality", reason="a trial of the guard")
    assert (said.kind, said.by, said.reason) == ("override:gate:quality", "ada", "a trial of the guard")
    with pytest.raises(Refused) as caught:
        workspace.models.promote("late", 1, to="production")
    assert "gate:quality" not in caught.value.message
    home.acting("rita").approvals.approve(version, reason="we watch it")
    assert workspace.models.promote("late", 1, to="production").stage == "production"
    with pytest.raises(Invalid, match="no gate"):
        workspace.models.attest("late", 1, kind="override:gate:quality", verdict="pass", reason="by the back door")


def test_attestations_come_newest_first_in_pages(workspace: Workspace) -> None:
    version = registered(workspace, "late")
    for number in range(5):
        workspace.models.attest(
            "late", 1, kind="gate:quality", verdict="pass", reason=str(number), evidence={"report": str(number)}
        )
    page = workspace.models.attestations("late", 1, limit=3)
    assert [one.reason for one in page.items] == ["4", "3", "2"]
    assert page.next is not None
    rest = workspace.models.attestations("late", 1, limit=3, cursor=page.next)
    assert [one.evidence["report"] for one in rest.items] == ["1", "0"]
    assert {one.subject for one in page.items} == {version.digest}


def test_the_author_cannot_approve_by_way_of_attest(workspace: Workspace) -> None:
    registered(workspace, "late")
    with pytest.raises(Refused, match="author of a version can never approve"):
        workspace.models.attest("late", 1, kind="approval", verdict="pass", reason="mine")


def test_lineage_joins_rows_run_and_version(home: Home) -> None:
    workspace = home.workspace
    train, _ = late_rows(workspace, 200)
    made = manifest(workspace, "late", run_id=run_id(), origins=train.lineage, inputs=train.digest)
    version = workspace.models.register("late", made)
    into = LineageGraph(home.inside.storage.catalog).into(Node("model", version.digest))
    assert [(edge.role, edge.source.kind, edge.source.label) for edge in into] == [
        ("produced", "run", made.run_id),
        ("training", "dataset", "flights/1"),
    ]
    assert into[1].source.key == workspace.data.get("flights", 1).digest


def test_a_logged_model_answers_as_it_did_before(workspace: Workspace) -> None:
    train, held_out = late_rows(workspace)
    model = LogisticRegression().fit(train.X, train.y)
    version = workspace.models.log("late-arrival", model, inputs=train, run=run_id(), note="first")
    assert (version.note, version.runtime, version.manifest.format) == ("first", "onnx", "sklearn")
    assert set(version.manifest.files) == {"model.onnx", "model.skops"}
    assert version.manifest.facts["onnx_rows"]
    assert len(version.example) == 3
    loaded = workspace.models.load("late-arrival")
    assert loaded.version == version
    answers = loaded.predict(held_out.X)
    assert answers.probabilities is not None
    assert np.abs(answers.probabilities - model.predict_proba(held_out.X)).max() < 1e-5
    by_rows = loaded.predict(held_out.records()[:20])
    assert by_rows.values == answers.values[:20]
    assert loaded.predict(list(version.example)).values == model.predict(train.X[:3]).tolist()
    with pytest.raises(Invalid, match="wind"):
        loaded.predict([{"wind": "strong", "carrier": "UA"}])


def test_a_model_answers_rows_that_were_coded_by_others(workspace: Workspace) -> None:
    train, held_out = late_rows(workspace)
    loaded = workspace.models.load(logged(workspace, train))
    answers = loaded.predict(held_out.X)
    whole = pl.DataFrame(held_out.records())
    few = np.flatnonzero(whole["carrier"].to_numpy() == "UA")
    frame = whole[few]
    by_itself = encode_frame(frame, infer_columns(frame))
    assert (by_itself != held_out.X[few]).any(), "where there is one carrier alone, it has another code"
    pandas = pytest.importorskip("pandas")
    for rows in (frame, pandas.DataFrame(frame.to_dict(as_series=False)), SimpleNamespace(labelled=frame)):
        told = loaded.predict(rows)
        assert told.probabilities is not None
        assert answers.probabilities is not None
        assert np.array_equal(told.probabilities, answers.probabilities[few])
    with pytest.raises(Invalid, match="no column 'carrier'"):
        loaded.predict(frame.drop("carrier"))
    with pytest.raises(Invalid, match="frame"):
        loaded.predict(7)


def test_a_version_is_loaded_by_itself_and_by_reference(workspace: Workspace) -> None:
    train, _ = late_rows(workspace, 400)
    version = logged(workspace, train)
    assert isinstance(version, ModelVersion)
    assert workspace.models.load(version).version == workspace.models.load("late-arrival/1").version
    with pytest.raises(NotFound):
        workspace.models.load("late-arrival/2")


def test_what_cannot_be_kept_makes_no_version(workspace: Workspace) -> None:
    train, _ = late_rows(workspace, 200)
    with pytest.raises(Refused, match="no format keeps"):
        workspace.models.log("late", object(), inputs=train)
    with pytest.raises(Invalid, match="not a name"):
        workspace.models.log("../late", LogisticRegression().fit(train.X, train.y), inputs=train)
    with pytest.raises(NotFound):
        workspace.models.versions("late")
