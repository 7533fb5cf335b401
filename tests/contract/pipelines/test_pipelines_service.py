"""Pipelines seen in four ways: registered, started once a key, worked through by a real process, cancelled."""

from collections.abc import Callable

import pytest

from tests.contract.pipelines import steps
from tests.contract.pipelines.steps import named
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace

THREE = named(steps.collect, steps.train, steps.deploy)


def test_versions_are_named_by_their_steps(workspace: Workspace) -> None:
    first = workspace.pipelines.register("nightly", steps=THREE)
    assert (first.number, first.steps, first.by, first.reference) == (1, THREE, "local", "nightly/1")
    assert workspace.pipelines.register("nightly", steps=THREE) == first
    second = workspace.pipelines.register("nightly", steps=THREE[:2])
    back = workspace.pipelines.register("nightly", steps=THREE)
    assert (second.number, back.number, back.digest) == (2, 3, first.digest)
    assert workspace.pipelines.get("nightly") == back
    assert workspace.pipelines.get("nightly", number=2) == second
    workspace.pipelines.register("hourly", steps=THREE[:1])
    page = workspace.pipelines.list(limit=1)
    assert [each.reference for each in page.items] == ["hourly/1"]
    rest = workspace.pipelines.list(limit=1, cursor=page.next or "")
    assert ([each.reference for each in rest.items], rest.next) == (["nightly/3"], None)


def test_a_key_makes_one_run(workspace: Workspace) -> None:
    workspace.pipelines.register("nightly", steps=THREE)
    run = workspace.pipelines.start("nightly", key="2013-07-01", params={"rows": 5, "window": ["a", None, 1.5]})
    assert (run.state, run.number, run.by, [step.state for step in run.steps]) == (
        "pending",
        1,
        "local",
        ["pending"] * 3,
    )
    assert [step.name for step in run.steps] == ["collect", "train", "deploy"]
    assert workspace.pipelines.start("nightly", key="2013-07-01", params={"rows": 5, "window": ["a", None, 1.5]}) == run
    with pytest.raises(Conflict, match="other parameters"):
        workspace.pipelines.start("nightly", key="2013-07-01", params={"rows": 6})
    other = workspace.pipelines.start("nightly", key="2013-07-02")
    assert workspace.pipelines.get_run(run.id) == run
    page = workspace.pipelines.runs("nightly", limit=1)
    assert page.items == [other]
    assert workspace.pipelines.runs("nightly", limit=1, cursor=page.next or "").items == [run]
    assert workspace.pipelines.runs("nightly", state="done").items == []


def test_a_tick_works_through_a_run(home: Home) -> None:
    space = home.workspace
    space.pipelines.register("nightly", steps=THREE)
    started = space.pipelines.start("nightly", key="k", params={"rows": 5})
    space.loop.tick()
    run = space.pipelines.get_run(started.id)
    assert (run.state, run.reason) == ("done", "")
    assert [(step.state, step.attempts) for step in run.steps] == [("done", 1)] * 3
    assert run.outputs["collect"]["rows"] == 5
    made = space.runs.get(str(run.outputs["train"]["run"]))
    assert made.params == {"rows": 5}
    assert run.outputs["deploy"] == {"deployed": made.id}
    assert run.ended_at is not None
    assert run.started_at <= run.ended_at
    assert facts(home) == [
        ("registered", ""),
        ("started", "collect"),
        ("step_done", "collect"),
        ("step_done", "train"),
        ("step_done", "deploy"),
        ("finished", ""),
    ]


def test_a_cancelled_run_stays_cancelled(home: Home) -> None:
    space = home.workspace
    space.pipelines.register("nightly", steps=THREE)
    started = space.pipelines.start("nightly", key="k")
    with pytest.raises(Invalid, match="say why"):
        space.pipelines.cancel(started.id, reason=" ")
    run = space.pipelines.cancel(started.id, reason="not needed")
    assert (run.state, run.reason) == ("cancelled", "not needed")
    assert [step.state for step in run.steps] == ["cancelled", "pending", "pending"]
    with pytest.raises(Conflict, match="has ended already \\(cancelled\\)"):
        space.pipelines.cancel(started.id, reason="again")
    space.loop.tick()
    assert space.pipelines.get_run(started.id) == run
    assert facts(home)[-1] == ("cancelled", "collect")


def test_what_is_refused_names_the_remedy(home: Home, acting: Callable[[str], Workspace]) -> None:
    space = home.workspace
    with pytest.raises(Invalid, match="not a function"):
        space.pipelines.register("nightly", steps=("train",))
    with pytest.raises(Invalid, match="cannot be called 'runs'"):
        space.pipelines.register("runs", steps=THREE)
    with pytest.raises(NotFound, match="no pipeline 'nightly'"):
        space.pipelines.get("nightly")
    with pytest.raises(NotFound, match="no pipeline 'nightly'"):
        space.pipelines.start("nightly", key="k")
    space.pipelines.register("nightly", steps=THREE)
    with pytest.raises(NotFound, match="no version 7; the newest is nightly/1"):
        space.pipelines.get("nightly", number=7)
    with pytest.raises(Invalid, match="printable"):
        space.pipelines.start("nightly", key="")
    with pytest.raises(Invalid, match="not an id"):
        space.pipelines.get_run("nightly")
    with pytest.raises(NotFound, match="no run"):
        space.pipelines.get_run(IdFactory(home.inside.storage.clock).new())
    space.people.add("reader", role="contributor")
    with pytest.raises(Forbidden, match="needs the role maintainer"):
        acting("reader").pipelines.start("nightly", key="k")


def facts(home: Home) -> list[tuple[str, str]]:
    """What the room said, with the step."""
    from tidegate.events.store import EventLog

    storage = home.inside.storage
    events = EventLog(storage.catalog, storage.clock, storage.ids).after(0, type_prefix="tidegate.pipelines.")
    return [(event.type.rpartition(".")[2], str(event.data.get("step", ""))) for event in events]
