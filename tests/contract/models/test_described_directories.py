"""Directories that the real mlflow client saved, seen in four ways: what their MLmodel says is their signature."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.peer import Peer
from tidegate.kernel.errors import Invalid, Refused
from tidegate.kernel.schema import Column
from tidegate.models.records import PYFUNC, ModelVersion, StagePolicy
from tidegate.models.signature import Signature
from tidegate.runs.records import Artifact
from tidegate.workspace import Workspace

pytestmark = pytest.mark.xdist_group("described")

LATE = 'it\'s "late", é'
LONG = [f"a column with a long name, and {number}" for number in range(4)]


@pytest.fixture(scope="module")
def saved(peer: Callable[[str], Peer], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the client saved its directories."""
    folder = tmp_path_factory.mktemp("saved")
    peer("mlflow").run("directories.py", folder=str(folder))
    return folder


def adopted(workspace: Workspace, folder: Path, name: str = "") -> ModelVersion:
    """A version of the directory, as a draft that a client logged."""
    made = workspace.drafts.create("flights", "late")
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            info = workspace.objects.put(path.read_bytes())
            files.append(Artifact(path.relative_to(folder).as_posix(), info.digest, info.size))
    workspace.drafts.log(made.id, files=tuple(files))
    return workspace.drafts.adopt(name or folder.name, draft_id=made.id)


def numbers(*names: str, nullable: bool = False) -> tuple[Column, ...]:
    return tuple(Column(name, "number", nullable) for name in names)


def test_a_directory_that_says_what_it_takes_and_gives_needs_trust_and_no_more(
    workspace: Workspace, saved: Path
) -> None:
    version = adopted(workspace, saved / "flights")
    columns = (
        *numbers("wind", "passengers"),
        Column(LATE, "boolean", False),
        *numbers("gust", nullable=True),
        *numbers(*LONG),
    )
    assert version.signature == Signature(columns=columns, task="regression", missing_feature="refuse")
    assert version.runtime == PYFUNC
    halves = dict.fromkeys(LONG, 0.5)
    assert version.example[0] == {"wind": 1.0, "passengers": 1.0, LATE: True, "gust": None, **halves}
    assert len(version.example) == 2
    facts = version.manifest.facts
    assert facts["dependencies"].split(" ")[1:] == ["pandas", "numpy>=2"]
    assert facts["dependencies"].startswith("mlflow==")
    assert facts["python"].startswith("3.")
    with pytest.raises(Refused, match="nobody lets flights/1 run"):
        workspace.models.load(version)
    workspace.models.trust("flights", 1, reason="read line by line")
    workspace.models.set_policy("flights", "production", policy=StagePolicy())
    promoted = workspace.models.promote("flights", 1, to="production")
    with pytest.raises(Refused, match=r"flights/1 runs in an interpreter of its own, and none is named"):
        workspace.endpoints.deploy("flights", promoted)
    copy = workspace.drafts.adopt("copy", version="flights/1")
    assert (copy.signature, copy.example) == (version.signature, version.example)
    assert workspace.models.get("flights", 1).digest == version.digest


def test_a_matrix_and_truth_are_told_and_labels_want_their_classes(workspace: Workspace, saved: Path) -> None:
    matrix = adopted(workspace, saved / "matrix")
    columns = numbers("x0", "x1", nullable=True)
    assert matrix.signature == Signature(columns=columns, task="regression", missing_feature="refuse")
    assert matrix.example[:2] == ({"x0": 0.0, "x1": 1.0}, {"x0": 1.0, "x1": 0.5})
    assert adopted(workspace, saved / "truth").signature.classes == (False, True)
    labels = adopted(workspace, saved / "labels")
    for ask in (lambda: labels.signature, lambda: workspace.models.trust("labels", 1, reason="read")):
        with pytest.raises(
            (Refused, Invalid), match=r"answers int64, and not which classes there are.*drafts\.adopt\("
        ):
            ask()
    told = workspace.drafts.adopt("labels", version="labels/1", classes=(0, 1))
    assert (told.number, told.signature.classes, told.signature.columns) == (2, (0, 1), columns)
    assert "signature" not in told.manifest.facts
    workspace.models.trust("labels", 2, reason="read")


def test_what_a_directory_does_not_say_is_asked_for(workspace: Workspace, saved: Path) -> None:
    for name, why in (
        ("text", "column 'carrier' is text, and not which categories there are; give the whole signature"),
        ("inputs only", "does not say what it answers"),
        ("plain", "no signature, so no process answers"),
    ):
        version = adopted(workspace, saved / name)
        assert (version.manifest.signature, version.runtime, version.example) == (None, "", ())
        with pytest.raises(Invalid, match=f"{why}.*drafts.adopt\\("):
            workspace.models.trust(name, 1, reason="read")
    for name, why in (("text", "is text"), ("plain", "its MLmodel holds no signature")):
        with pytest.raises(Invalid, match=why):
            workspace.drafts.adopt(name, version=f"{name}/1", classes=(0, 1))
    whole = Signature(columns=(Column("carrier", "category", False, ("AA", "UA")),), task="regression")
    assert workspace.drafts.adopt("text", version="text/1", signature=whole).signature == whole
    assert "signature" not in workspace.models.get("text", 2).manifest.facts
    for given in ({"signature": whole}, {}):
        with pytest.raises(Invalid, match="the signature names the classes"):
            workspace.drafts.adopt("text", version="text/2", classes=(0, 1), **given)  # type: ignore[arg-type]
