"""Experiments and the lives of runs in them: named, renamed, deleted, restored; resumed, nested, logged to late."""

import pytest

from tidegate.kernel.errors import AlreadyExists, Conflict, Invalid, NotFound
from tidegate.workspace import Workspace


def test_law_1_a_name_belongs_to_one_active_experiment(workspace: Workspace) -> None:
    first = workspace.experiments.create("late-arrival", tags={"team": "ops"})
    assert (first.name, first.by, first.tags, first.deleted_at) == ("late-arrival", "local", {"team": "ops"}, None)
    with pytest.raises(AlreadyExists, match="late-arrival"):
        workspace.experiments.create("late-arrival")
    other = workspace.experiments.create("other")
    with pytest.raises(AlreadyExists, match="late-arrival"):
        workspace.experiments.rename(other.id, name="late-arrival")
    assert workspace.experiments.get("late-arrival") == first
    assert workspace.experiments.get(first.id) == first


def test_law_2_a_deleted_experiment_hinders_nobody_from_taking_its_name(workspace: Workspace) -> None:
    first = workspace.experiments.create("weekly")
    run = workspace.runs.create("weekly")
    assert workspace.experiments.delete("weekly").deleted_at is not None
    with pytest.raises(NotFound, match="weekly"):
        workspace.experiments.get("weekly")
    assert workspace.experiments.get(first.id).deleted_at is not None
    with pytest.raises(Conflict, match="restore it first"):
        workspace.runs.create(first.id)
    second = workspace.experiments.create("weekly")
    assert second.id != first.id
    with pytest.raises(AlreadyExists, match="weekly"):
        workspace.experiments.restore(first.id)
    workspace.experiments.rename(second.id, name="weekly-2")
    assert workspace.experiments.restore("weekly").id == first.id
    assert workspace.runs.get(run.id).experiment == "weekly"
    states = {"active": {"weekly", "weekly-2"}, "deleted": set(), "all": {"weekly", "weekly-2"}}
    for state, names in states.items():
        assert {one.name for one in workspace.experiments.list(state=state).items} == names  # type: ignore[arg-type]


def test_law_3_runs_make_the_experiment_that_they_name(workspace: Workspace) -> None:
    first, second = workspace.runs.create("fresh"), workspace.runs.create("fresh")
    assert first.experiment_id == second.experiment_id == workspace.experiments.get("fresh").id
    renamed = workspace.experiments.rename("fresh", name="ripe")
    assert workspace.runs.get(first.id).experiment == "ripe"
    assert [run.id for run in workspace.runs.list(experiment="ripe").items] == [second.id, first.id]
    assert workspace.runs.create(renamed.id).experiment == "ripe"


def test_what_names_nothing_is_refused(workspace: Workspace) -> None:
    with pytest.raises(Invalid, match="experiment"):
        workspace.experiments.create("a/b")
    imported = workspace.experiments.create("/Users/somebody/a b", imported=True)
    assert workspace.runs.create(imported.id).experiment == "/Users/somebody/a b"
    for name in ("", " ", "x" * 501, "a\x00b", "a\nb"):
        with pytest.raises(Invalid, match="experiment"):
            workspace.experiments.create(name, imported=True)
    with pytest.raises(NotFound, match="nobody's"):
        workspace.runs.list(experiment="nobody's")


def test_the_default_experiment_is_there_before_anybody_made_it(workspace: Workspace) -> None:
    assert workspace.experiments.get("0").name == "Default"
    assert workspace.experiments.list(state="all").items == []
    assert workspace.runs.create("Default").experiment_id == "0"
    assert [one.id for one in workspace.experiments.list().items] == ["0"]
    assert workspace.experiments.set_tags("0", tags={"a": "b"}).tags == {"a": "b"}
    assert workspace.experiments.delete_tag("0", name="a").tags == {}
    with pytest.raises(NotFound, match="no tag 'a'"):
        workspace.experiments.delete_tag("0", name="a")


def test_experiments_come_in_pages(workspace: Workspace) -> None:
    made = [workspace.experiments.create(f"e{number}").id for number in range(5)]
    seen, cursor = [], ""
    while True:
        page = workspace.experiments.list(limit=2, cursor=cursor)
        seen += [one.id for one in page.items]
        if page.next is None:
            break
        cursor = page.next
    assert sorted(seen) == sorted(made)
    assert len(seen) == 5


def test_a_run_is_resumed_renamed_and_logged_to_late(workspace: Workspace) -> None:
    run = workspace.runs.create("a", name="first try")
    workspace.runs.finish(run.id, status="killed")
    with pytest.raises(Conflict, match="late"):
        workspace.runs.log(run.id, tags={"x": "y"})
    workspace.runs.log(run.id, tags={"x": "y"}, late=True)
    resumed = workspace.runs.resume(run.id)
    assert (resumed.status, resumed.ended_at, resumed.tags) == ("running", None, {"x": "y"})
    assert workspace.runs.rename(run.id, name="second try").name == "second try"
    assert workspace.runs.delete_tag(run.id, name="x").tags == {}
    assert workspace.runs.finish(run.id).status == "finished"


def test_a_deleted_run_is_found_by_its_id_alone(workspace: Workspace) -> None:
    run = workspace.runs.create("a")
    assert workspace.runs.delete(run.id).deleted_at is not None
    assert workspace.runs.list(experiment="a").items == []
    assert workspace.runs.get(run.id).deleted_at is not None
    with pytest.raises(Conflict, match="deleted"):
        workspace.runs.log(run.id, tags={"x": "y"}, late=True)
    with pytest.raises(Conflict, match="deleted"):
        workspace.runs.finish(run.id)
    assert workspace.runs.restore(run.id).deleted_at is None
    assert [one.id for one in workspace.runs.list(experiment="a").items] == [run.id]


def test_runs_are_parts_of_others(workspace: Workspace) -> None:
    whole = workspace.runs.create("sweep")
    parts = [workspace.runs.create("sweep", parent=whole.id).id for _ in range(2)]
    with workspace.runs.start("sweep", parent=whole, name="third") as third:
        parts.append(third.id)
    assert {one.id for one in workspace.runs.list(parent=whole.id).items} == set(parts)
    with pytest.raises(NotFound, match="no run"):
        workspace.runs.create("sweep", parent="0" * 32)
