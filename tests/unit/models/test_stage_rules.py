"""What a stage asks for, and what is missing: the rules, without a home."""

from datetime import UTC, datetime

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tidegate.kernel.errors import Conflict, Invalid, Refused
from tidegate.kernel.schema import Column
from tidegate.models import rules
from tidegate.models.records import Attestation, Manifest, ModelVersion, Stage, StagePolicy, Verdict
from tidegate.models.signature import Signature

AT = datetime(2026, 1, 1, tzinfo=UTC)
GUARDED = rules.default_policy("production")
PEOPLE = ("ada", "bob", "cho")


def version(stage: Stage = "development", by: str = "ada") -> ModelVersion:
    signature = Signature(columns=(Column("x", "number", False),), task="regression")
    manifest = Manifest(name="late", signature=signature, format="onnx", runtime="onnx", files={"model.onnx": "0" * 64})
    return ModelVersion(
        name="late",
        number=1,
        digest=rules.digest_of(manifest),
        stage=stage,
        created_at=AT,
        updated_at=AT,
        created_by=by,
        note="",
        manifest=manifest,
    )


def said(kind: str, verdict: Verdict, by: str = "bob", policy: str = "") -> Attestation:
    return Attestation(
        id="", subject="", kind=kind, verdict=verdict, policy_digest=policy, by=by, at=AT, reason="so", evidence={}
    )


def gaps(*newest_first: Attestation, policy: StagePolicy = GUARDED) -> list[str]:
    return [gap.what for gap in rules.missing_for(policy, version(), newest_first, "production")]


def test_a_guarded_stage_names_everything_that_is_missing_with_its_remedy() -> None:
    missing = rules.missing_for(GUARDED, version(), [], "production")
    assert [gap.what for gap in missing] == [
        "gate:quality was not run",
        "production asks for 1 approval(s), there are 0",
    ]
    with pytest.raises(Refused, match="tidegate approvals approve late/1") as caught:
        rules.refuse_missing(version(), "production", missing)
    assert len(caught.value.details["missing"]) == 2  # type: ignore[arg-type]


def test_a_passed_gate_and_a_second_person_are_enough() -> None:
    assert gaps(said("approval", "pass"), said("gate:quality", "pass", "ada")) == []


def test_the_authors_approval_counts_nothing() -> None:
    assert gaps(said("approval", "pass", "ada"), said("gate:quality", "pass")) == [
        "production asks for 1 approval(s), there are 0"
    ]


def test_the_newest_verdict_of_a_gate_decides() -> None:
    passed, failed, unsure = (said("gate:quality", verdict) for verdict in ("pass", "fail", "not_enough_data"))
    approved = said("approval", "pass")
    assert gaps(approved, failed, passed) == ["gate:quality says fail (so)"]
    assert gaps(approved, unsure, passed) == ["gate:quality says not enough data (so)"]
    assert gaps(approved, passed, failed) == []


def test_a_pinned_policy_lets_no_laxer_gate_count() -> None:
    pinned = StagePolicy(gates=("gate:quality",), pinned={"gate:quality": "a" * 64})
    assert gaps(said("gate:quality", "pass", policy="b" * 64), policy=pinned) == [
        f"gate:quality was not run under the policy {'a' * 12} that the stage pins"
    ]
    assert gaps(said("gate:quality", "pass", policy="a" * 64), policy=pinned) == []


def test_a_rejection_blocks_until_the_same_person_takes_it_back() -> None:
    gate = said("gate:quality", "pass")
    rejected, approved = said("approval", "fail", "bob"), said("approval", "pass", "cho")
    assert gaps(approved, rejected, gate) == ["bob rejected it (so)"]
    assert gaps(said("approval", "withdrawn", "bob"), approved, rejected, gate) == []
    assert gaps(said("approval", "pass", "bob"), rejected, gate) == []


def test_two_approvals_take_two_people() -> None:
    policy = StagePolicy(approvals=2)
    assert gaps(said("approval", "pass"), said("approval", "pass"), policy=policy)
    assert gaps(said("approval", "pass"), said("approval", "pass", "cho"), policy=policy) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PEOPLE),
            st.sampled_from(("approval", "gate:quality")),
            st.sampled_from(("pass", "fail", "withdrawn", "not_enough_data")),
        ),
        max_size=12,
    )
)
def test_whatever_was_said_production_takes_gate_and_second_person(history: list[tuple[str, str, Verdict]]) -> None:
    newest_first = [said(kind, verdict, by) for by, kind, verdict in reversed(history)]
    if gaps(*newest_first):
        return
    gates = [one.verdict for one in newest_first if one.kind == "gate:quality"]
    assert gates[0] == "pass"
    last = {by: verdict for by, kind, verdict in history if kind == "approval"}
    assert any(verdict == "pass" for by, verdict in last.items() if by != "ada")
    assert "fail" not in last.values()


def test_the_author_may_reject_and_never_approve() -> None:
    rules.check_attestation(version(), "approval", "fail", "ada")
    with pytest.raises(Refused, match="author of a version can never approve"):
        rules.check_attestation(version(), "approval", "pass", "ada")


def test_kinds_and_verdicts_that_say_nothing_are_refused() -> None:
    with pytest.raises(Invalid, match="gates read like"):
        rules.check_attestation(version(), "quality", "pass", "bob")
    with pytest.raises(Invalid, match="withdrawn"):
        rules.check_attestation(version(), "gate:quality", "withdrawn", "bob")
    with pytest.raises(Invalid, match="approves"):
        rules.check_attestation(version(), "approval", "not_enough_data", "bob")
    with pytest.raises(Conflict, match="nothing to withdraw"):
        rules.check_withdrawal(version(), {}, "bob")


@pytest.mark.parametrize(
    "policy",
    [
        StagePolicy(approvals=-1),
        StagePolicy(approvals=99),
        StagePolicy(gates=("quality",)),
        StagePolicy(gates=("gate:",)),
        StagePolicy(pinned={"gate:quality": "a" * 64}),
        StagePolicy(gates=("gate:quality",), pinned={"gate:quality": "lax"}),
    ],
)
def test_a_policy_that_means_nothing_is_refused(policy: StagePolicy) -> None:
    with pytest.raises(Invalid):
        rules.check_policy(policy)


@pytest.mark.parametrize("stage", ["development", "staging", "archived"])
def test_only_production_serves_and_only_it_is_guarded(stage: Stage) -> None:
    assert rules.default_policy(stage) == StagePolicy()
    with pytest.raises(Refused, match="may not serve"):
        rules.refuse_serving(version(stage))
    rules.refuse_serving(version("production"))


def test_the_digest_of_a_record_does_not_hang_on_the_order_of_its_keys() -> None:
    one = StagePolicy(gates=("gate:a", "gate:b"), pinned={"gate:a": "1" * 64, "gate:b": "2" * 64})
    other = StagePolicy(gates=("gate:a", "gate:b"), pinned={"gate:b": "2" * 64, "gate:a": "1" * 64})
    assert rules.digest_of(one) == rules.digest_of(other)
    assert rules.digest_of(one) != rules.digest_of(StagePolicy())


def test_a_manifest_of_another_name_or_without_files_is_refused() -> None:
    manifest = version().manifest
    rules.check_manifest("late", manifest)
    with pytest.raises(Invalid, match="was sent to"):
        rules.check_manifest("early", manifest)
