"""Four eyes, seen in four ways. Each test names the law of `Approvals` that it holds to."""

import msgspec
import pytest

from tests.contract.models.late_models import registered
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from tidegate.models.records import StagePolicy
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace


@pytest.fixture
def reviewed(home: Home) -> Workspace:
    """A home with `late/1` by local, its gate passed, and the approvers rita and rolf."""
    registered(home.workspace, "late")
    home.workspace.models.attest("late", 1, kind="gate:quality", verdict="pass", reason="good")
    for name in ("rita", "rolf"):
        home.workspace.people.add(name, role="approver")
    return home.workspace


def test_law_1_the_author_never_approves_not_even_as_admin(home: Home, reviewed: Workspace) -> None:
    assert reviewed.people.get("local").roles == ("admin", "approver", "auditor")
    with pytest.raises(Refused, match="author of a version can never approve"):
        reviewed.approvals.approve("late/1", reason="mine")
    with pytest.raises(Refused, match="there are 0"):
        reviewed.models.promote("late", 1, to="production")
    home.acting("rita").approvals.approve("late", reason="looked at the gates")
    assert reviewed.models.promote("late", 1, to="production").stage == "production"


def test_law_1_holds_for_whoever_logs_again_what_is_there(home: Home, reviewed: Workspace) -> None:
    reviewed.people.grant("rita", role="maintainer")
    rita = home.acting("rita")
    again = registered(rita, "late")
    assert (again.number, again.created_by) == (1, "local")
    hers = registered(rita, "late", b"hers")
    with pytest.raises(Refused, match="rita logged late/2"):
        rita.approvals.approve(hers, reason="mine")


def test_law_2_a_person_counts_once(home: Home, reviewed: Workspace) -> None:
    reviewed.models.set_policy("late", "production", policy=StagePolicy(approvals=2))
    rita = home.acting("rita")
    for _ in range(3):
        rita.approvals.approve("late/1", reason="again")
    with pytest.raises(Refused, match="there are 1"):
        reviewed.models.promote("late", 1, to="production")
    home.acting("rolf").approvals.approve("late/1", reason="me too")
    assert [said.by for said in reviewed.approvals.standing("late/1")] == ["rita", "rolf"]
    reviewed.models.promote("late", 1, to="production")


def test_law_3_a_rejection_blocks_until_it_is_taken_back(home: Home, reviewed: Workspace) -> None:
    rita, rolf = home.acting("rita"), home.acting("rolf")
    rita.approvals.approve("late/1", reason="good")
    rolf.approvals.reject("late/1", reason="the training rows are stale")
    with pytest.raises(Refused, match="rolf rejected it") as caught:
        reviewed.models.promote("late", 1, to="production")
    assert "the training rows are stale" in caught.value.message
    with pytest.raises(Conflict, match="nothing to withdraw"):
        reviewed.approvals.withdraw("late/1", reason="not mine to take back")
    rolf.approvals.withdraw("late/1", reason="they were not")
    with pytest.raises(Conflict, match="nothing to withdraw"):
        rolf.approvals.withdraw("late/1", reason="twice")
    reviewed.models.promote("late", 1, to="production")


def test_law_3_the_own_approval_takes_the_place_of_a_rejection(home: Home, reviewed: Workspace) -> None:
    rolf = home.acting("rolf")
    rolf.approvals.reject("late/1", reason="wait")
    rolf.approvals.approve("late/1", reason="good now")
    assert [said.verdict for said in reviewed.approvals.standing("late/1")] == ["pass"]
    reviewed.models.promote("late", 1, to="production")


def test_law_4_an_approval_binds_to_one_version(home: Home, reviewed: Workspace) -> None:
    rita = home.acting("rita")
    said = rita.approvals.approve("late/1", reason="good")
    assert said.subject == reviewed.models.get("late", 1).digest
    registered(reviewed, "late", b"another")
    registered(reviewed, "later")
    for name, number in (("late", 2), ("later", 1)):
        reviewed.models.attest(name, number, kind="gate:quality", verdict="pass")
        with pytest.raises(Refused, match="there are 0"):
            reviewed.models.promote(name, number, to="production")


def test_law_4_a_forged_record_is_looked_up_by_its_name_and_number(home: Home, reviewed: Workspace) -> None:
    rita = home.acting("rita")
    version = reviewed.models.get("late", 1)
    hers = msgspec.structs.replace(version, created_by="nobody", digest="0" * 64)
    assert rita.approvals.approve(hers, reason="good").subject == version.digest
    with pytest.raises(NotFound):
        rita.approvals.approve(msgspec.structs.replace(version, number=9), reason="good")


def test_approving_takes_the_role_and_a_reason(home: Home, reviewed: Workspace) -> None:
    reviewed.people.add("max", role="maintainer")
    with pytest.raises(Forbidden, match="role approver"):
        home.acting("max").approvals.approve("late/1", reason="good")
    with pytest.raises(Invalid, match="say why"):
        home.acting("rita").approvals.approve("late/1", reason=" ")
    with pytest.raises(NotFound):
        home.acting("rita").approvals.approve("early/1", reason="good")
    assert reviewed.approvals.standing("late/1") == ()
    refused = [row for row in reviewed.audit.list(actor="max").items if row.outcome == "forbidden"]
    assert [row.operation for row in refused] == ["approvals.approve"]
