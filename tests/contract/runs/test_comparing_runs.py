"""Runs beside each other, and what a notebook shows of runs, experiments and versions."""

import io
import math
import sys
from typing import TYPE_CHECKING

import pytest

from tests.contract.models.kept_models import kept
from tests.unit.kernel.test_notebook import HOSTILE, TAGS, Seen
from tidegate.kernel import progress
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.runs.records import Metric
from tidegate.workspace import Workspace

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home


def test_runs_are_compared_by_what_was_told_of_them(workspace: Workspace) -> None:
    first = workspace.runs.create("a", name="one", params={"depth": 3, "rate": 0.1, "none": None})
    second = workspace.runs.create("b", params={"depth": 3, "rate": "0.1"})
    for run_id, loss in ((first.id, math.nan), (second.id, 0.5)):
        metrics = (Metric(name="loss", value=loss), Metric(name="same", value=math.nan))
        workspace.runs.log(run_id, metrics=metrics)
    found = workspace.runs.compare((first.id, second.id))
    assert [(run.name, run.experiment) for run in found.runs] == [("one", "a"), ("", "b")]
    params = {one.name: (one.values, one.differs) for one in found.params}
    assert params == {
        "depth": ((3, 3), False),
        "none": ((None, None), True),
        "rate": ((0.1, "0.1"), True),
    }
    metrics_ = {one.name: (repr([float(value or 0) for value in one.values]), one.differs) for one in found.metrics}
    assert metrics_ == {"loss": ("[nan, 0.5]", True), "same": ("[nan, nan]", False)}
    different = workspace.runs.compare((first.id, second.id), different=True)
    assert [one.name for one in different.params] == ["none", "rate"]
    assert [one.name for one in different.metrics] == ["loss"]
    page = found._repr_html_()
    assert page.count("font-weight:bold") == 3 * 3
    assert "0.5" in page


def test_what_cannot_be_compared_is_refused(workspace: Workspace) -> None:
    run = workspace.runs.create("a")
    for wrong in ((), (run.id,), (run.id, run.id), tuple(f"{number:032x}" for number in range(101))):
        with pytest.raises(Invalid, match="2 to 100 runs"):
            workspace.runs.compare(wrong)
    with pytest.raises(NotFound, match="no run"):
        workspace.runs.compare((run.id, "0" * 32))


def test_a_notebook_shows_hostile_names_as_text(workspace: Workspace) -> None:
    experiment = workspace.experiments.create(HOSTILE[0], tags={HOSTILE[1]: HOSTILE[0]}, imported=True)
    runs = []
    for name in HOSTILE[:2]:
        with workspace.runs.start(experiment.id, name=name, params={name: name}, tags={name: name}) as run:
            run.log_metrics({name: 1.0})
            run.log_artifact("x.svg", b"<svg onload=alert(1)>")
            shown = run._repr_html_()
        runs.append(run.id)
    pages = [
        shown,
        workspace.runs.get(runs[0])._repr_html_(),
        workspace.experiments.get(experiment.id)._repr_html_(),
        workspace.runs.compare(tuple(runs))._repr_html_(),
    ]
    for page in pages:
        seen = Seen(page)
        assert seen.tags <= TAGS
        assert HOSTILE[0] in "".join(seen.texts) or HOSTILE[1] in "".join(seen.texts)


def test_a_notebook_shows_a_version(workspace: Workspace) -> None:
    version = kept("linear, no nulls").log("late", workspace.models, workspace.objects)
    seen = Seen(version._repr_html_())
    assert seen.tags <= TAGS
    assert {"version late/1", "development", version.digest} <= set(seen.texts)


def test_a_long_upload_is_told_on_a_terminal(home: "Home", monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal)
    home.workspace.objects.put(b"x" * 3_000_000)
    monkeypatch.undo()
    assert ("uploading  1.0 MB of 3.0 MB" in terminal.getvalue()) == (home.way == "http")
