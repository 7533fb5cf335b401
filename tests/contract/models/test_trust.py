"""Who lets the code of a directory run, seen in four ways: an admin, of one digest, until it is taken back."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.contract.models.late_models import registered
from tests.contract.models.test_drafts import draft
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Unavailable
from tidegate.kernel.schema import Column
from tidegate.models.records import PYFUNC, TRUST, ModelVersion
from tidegate.models.signature import Signature
from tidegate.workspace import Workspace

ANSWERING = """
import json, struct, sys
HEADER = struct.Struct("<4sII")
def send(number, values):
    content = json.dumps({"values": values}).encode()
    sys.stdout.buffer.write(HEADER.pack(b"TGPF", number, len(content)) + content)
    sys.stdout.buffer.flush()
send(0, [])
while len(header := sys.stdin.buffer.read(HEADER.size)) == HEADER.size:
    _, number, length = HEADER.unpack(header)
    columns = json.loads(sys.stdin.buffer.read(length))["columns"]
    send(number, [1.0] * len(next(iter(columns.values()))))
"""
SIGNATURE = Signature(columns=(Column("wind", "number", False),), task="regression")


def directory(workspace: Workspace, name: str = "late", signature: Signature = SIGNATURE) -> ModelVersion:
    """A version of a draft with a signature."""
    return workspace.drafts.adopt(
        name, draft_id=draft(workspace).id, signature=signature, example=({signature.columns[0].name: 1.0},)
    )


class Marked(NamedTuple):
    """An interpreter that answers 1.0 to every row, and the file that it makes when it is started."""

    python: str
    started: Path


@pytest.fixture
def marked(tmp_path: Path) -> Marked:
    """Speaks as the runner does, without MLflow."""
    started, answering = tmp_path / "started", tmp_path / "answering.py"
    answering.write_text(ANSWERING, encoding="utf-8")
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\ntouch {started}\nexec {sys.executable} {answering}\n", encoding="utf-8")
    script.chmod(0o700)
    return Marked(str(script), started)


def test_law_1_without_trust_nothing_is_started(workspace: Workspace, marked: Marked) -> None:
    version = directory(workspace)
    with pytest.raises(Refused, match="nobody lets late/1 run"):
        workspace.models.load(version, python=marked.python)
    assert not marked.started.exists()
    workspace.models.trust("late", 1, reason="read")
    assert not marked.started.exists(), "to trust is not to run"
    assert workspace.models.load("late/1", python=marked.python).predict([{"wind": 2.0}] * 3).values == [1.0] * 3
    assert marked.started.exists()


def test_law_3_what_runs_ends_when_trust_is_taken_back(
    workspace: Workspace, marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.models.pyfunc.predictor.TRUST_SECONDS", 0.0)
    version = directory(workspace)
    workspace.models.trust("late", 1, reason="read")
    model = workspace.models.load(version, python=marked.python)
    assert model.predict([{"wind": 2.0}]).values == [1.0]
    workspace.models.distrust("late", 1, reason="it phones home")
    marked.started.unlink()
    with pytest.raises(Unavailable, match="nobody lets late/1 run"):
        model.predict([{"wind": 2.0}])
    assert not list(marked.started.parent.glob("started")), "it is not started again"
    workspace.models.trust("late", 1, reason="mended")
    assert model.predict([{"wind": 2.0}]).values == [1.0]
    assert marked.started.exists(), "and so it had ended"


def test_a_signature_makes_a_directory_one_that_may_be_trusted(workspace: Workspace) -> None:
    plain = workspace.drafts.adopt("late", draft_id=draft(workspace).id)
    with pytest.raises(Refused, match=r"drafts.adopt\('late', version='late/1', signature=…\)"):
        workspace.models.load(plain)
    with pytest.raises(Invalid, match="has no signature"):
        workspace.models.trust("late", 1, reason="read")
    made = workspace.drafts.adopt("late", version="late/1", signature=SIGNATURE, example=({"wind": 1.0},))
    assert (made.number, made.runtime, made.manifest.format) == (2, PYFUNC, "mlflow")
    assert (made.signature, made.example) == (SIGNATURE, ({"wind": 1.0},))
    assert made.manifest.files == plain.manifest.files
    with pytest.raises(Invalid, match=r"rows\[0\].wind: expected a number"):
        workspace.drafts.adopt("late", version="late/1", signature=SIGNATURE, example=({"wind": "high"},))
    with pytest.raises(Invalid, match="an example needs the signature"):
        workspace.drafts.adopt("late", version="late/1", example=({"wind": 1.0},))
    registered(workspace, "other")
    with pytest.raises(Invalid, match="only a directory of MLflow with the flavor python_function"):
        workspace.drafts.adopt("late", version="other/1", signature=SIGNATURE)
    with pytest.raises(Invalid, match="runs no code of its own"):
        workspace.models.trust("other", 1, reason="read")


def test_law_2_it_is_a_word_on_one_digest_with_a_reason_that_can_be_taken_back(workspace: Workspace) -> None:
    version = directory(workspace)
    for ask in (lambda: workspace.models.trusted("late", 1), lambda: workspace.models.load(version)):
        with pytest.raises(Refused, match=r"nobody lets late/1 run.*tidegate models trust late 1 --reason TEXT"):
            ask()
    with pytest.raises(Invalid, match="say why"):
        workspace.models.trust("late", 1, reason=" ")
    with pytest.raises(Conflict, match="nothing to withdraw"):
        workspace.models.distrust("late", 1, reason="never")
    given = workspace.models.trust("late", 1, reason="read line by line")
    assert (given.kind, given.verdict, given.subject, given.by) == (TRUST, "pass", version.digest, "local")
    assert workspace.models.trusted("late", 1) == given
    assert "trust in its code" in workspace.models.card("late", 1)
    workspace.models.require_trust(version)
    for other in (
        directory(workspace, "copy"),
        directory(workspace, signature=Signature(columns=(Column("gust", "number", False),), task="regression")),
    ):
        with pytest.raises(Refused, match="nobody lets"):
            workspace.models.require_trust(other)
    taken = workspace.models.distrust("late", 1, reason="it phones home")
    assert (taken.verdict, taken.reason) == ("withdrawn", "it phones home")
    with pytest.raises(Refused, match="nobody lets"):
        workspace.models.require_trust(version)
    workspace.models.trust("late", 1, reason="mended")
    workspace.models.require_trust(version)
    with pytest.raises(NotFound):
        workspace.models.trust("late", 9, reason="read")


def test_a_trusted_directory_wants_an_interpreter(workspace: Workspace) -> None:
    version = directory(workspace)
    workspace.models.trust("late", 1, reason="read")
    with pytest.raises(Refused, match=r"none is named: make an environment.*pyfunc_python"):
        workspace.models.load(version)
    with pytest.raises(Unavailable, match="cannot be started"):
        workspace.models.load(version, python="/nowhere/python")


def test_a_version_that_is_not_what_it_says_is_not_run(workspace: Workspace) -> None:
    version = directory(workspace)
    workspace.models.trust("late", 1, reason="read")
    digest = workspace.objects.put(b"something else").digest
    forged = msgspec.structs.replace(
        version, manifest=msgspec.structs.replace(version.manifest, files={"MLmodel": digest})
    )
    with pytest.raises(Refused, match="another version than the one that is trusted"):
        workspace.models.load(forged, python="/bin/true")


def test_only_an_admin_trusts_and_no_other_word_does(workspace: Workspace, acting: Callable[[str], Workspace]) -> None:
    version = directory(workspace)
    workspace.people.add("maria", role="maintainer")
    workspace.people.add("ada", role="admin")
    workspace.people.add("pia", role="approver")
    maria, ada = acting("maria"), acting("ada")
    for person in (maria, acting("pia")):
        with pytest.raises(Forbidden):
            person.models.trust("late", 1, reason="I like it")
    with pytest.raises(Invalid):
        workspace.models.attest("late", 1, kind=TRUST, verdict="pass", reason="by the back door")
    ada.models.trust("late", 1, reason="read")
    assert workspace.models.trusted("late", 1).by == "ada"
    maria.models.distrust("late", 1, reason="in doubt")
    with pytest.raises(Refused):
        workspace.models.require_trust(version)
    told = [(one.actor, one.operation, one.outcome) for one in workspace.audit.list(limit=100).items]
    assert {("ada", "models.trust", "ok"), ("maria", "models.distrust", "ok")} <= set(told)
    assert ("maria", "models.trust", "forbidden") in told
