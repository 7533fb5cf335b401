"""Runs that fall silent: stale once they were not heard of for some minutes, and as before when they are again."""

import time
from typing import TYPE_CHECKING

import pytest

from tidegate.kernel.errors import Conflict, NotFound
from tidegate.runs import active
from tidegate.runs.records import Metric
from tidegate.runs.store import run_beats

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home


def let_pass(home: "Home", seconds: float) -> None:
    """As if everybody had been silent for so long."""
    catalog = home.inside.storage.catalog

    def back() -> None:
        with catalog.connect() as connection:
            connection.execute(run_beats.update().values(heard=run_beats.c.heard - seconds))

    catalog.write(back)


def test_law_6_a_silent_run_is_stale_until_it_is_heard_of_again(home: "Home") -> None:
    workspace = home.workspace
    run, ended = (workspace.runs.create("a") for _ in range(2))
    for one in (run, ended):
        workspace.runs.log(one.id, metrics=(Metric(name="loss", value=1.0),))
    workspace.runs.finish(ended.id)
    let_pass(home, 500)
    assert not workspace.runs.get(run.id).stale
    let_pass(home, 200)
    assert workspace.runs.get(run.id).stale
    assert {one.id for one in workspace.runs.list().items if one.stale} == {run.id}
    assert {one.id for one in workspace.runs.search().items if one.stale} == {run.id}
    assert workspace.runs.get(run.id).status == "running"
    workspace.runs.heartbeat(run.id)
    assert not workspace.runs.get(run.id).stale
    workspace.runs.log(run.id, tags={"a": "b"})


def test_only_a_run_that_runs_beats(home: "Home") -> None:
    workspace = home.workspace
    run = workspace.runs.create("a")
    workspace.runs.finish(run.id)
    with pytest.raises(Conflict, match="has ended"):
        workspace.runs.heartbeat(run.id)
    with pytest.raises(NotFound, match="no run"):
        workspace.runs.heartbeat("0" * 32)


@pytest.mark.parametrize("home", ["local-sqlite"], indirect=True)
def test_a_run_that_is_left_open_beats_by_itself(home: "Home", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(active, "BEAT_SECONDS", 0.01)
    workspace = home.workspace
    with workspace.runs.start("a") as run:
        run.set_tags(a="b")
        let_pass(home, 10_000)
        give_up = time.monotonic() + 60
        while workspace.runs.get(run.id).stale:
            assert time.monotonic() < give_up
            time.sleep(0.01)
    assert workspace.runs.get(run.id).status == "finished"
