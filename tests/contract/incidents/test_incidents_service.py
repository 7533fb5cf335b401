"""Incidents seen in four ways: opened by facts, told in a timeline, acknowledged and resolved by people."""

from collections.abc import Callable

import pytest

from tests.contract.incidents.told import BROKEN, kinds, tell
from tests.contract.pipelines import steps
from tests.contract.pipelines.steps import named
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace


def test_a_broken_input_from_its_first_day_to_its_last(home: Home) -> None:
    space = home.workspace
    tell(home.inside, "monitors.episode_opened", "late-arrival", **BROKEN)
    space.loop.tick()
    (incident,) = space.incidents.list().items
    assert (incident.state, incident.severity, incident.endpoint) == ("open", "critical", "late-arrival")
    assert incident.what_to_do.startswith("mend the source of wind_speed_mph; retraining is held back")
    tell(home.inside, "loop.retraining_suppressed", "late-arrival", reason="an input is broken")
    tell(home.inside, "loop.retraining_suppressed", "another", reason="an input is broken")
    tell(home.inside, "monitors.episode_updated", "late-arrival", **{**BROKEN, "summary": "still"})
    space.loop.tick()
    space.incidents.acknowledge(incident.id, note="asked the airport")
    tell(home.inside, "monitors.episode_closed", "late-arrival", **{**BROKEN, "summary": "back in its range"})
    space.loop.tick()
    story = space.incidents.get(incident.id)
    assert (story.state, story.automatic, story.resolution) == ("resolved", True, "back in its range")
    assert story.resolved_by is None
    assert story.acknowledged_by == "local"
    assert [(entry.kind, entry.text) for entry in story.timeline] == [
        ("opened", BROKEN["summary"]),
        ("held_back", "no retraining: an input is broken"),
        ("seen", "still"),
        ("acknowledged", "asked the airport"),
        ("resolved", "back in its range"),
    ]
    assert [entry.position is None for entry in story.timeline] == [False, False, False, True, False]
    assert kinds(home.inside) == ["opened", "acknowledged", "resolved"]


def test_a_failed_pipeline_is_an_incident(home: Home) -> None:
    space = home.workspace
    space.pipelines.register("nightly", steps=named(steps.collect, steps.refuses))
    run = space.pipelines.start("nightly", key="k")
    space.loop.tick()
    (incident,) = space.incidents.list().items
    assert (incident.subject, incident.endpoint, incident.cause) == ("nightly", None, f"pipeline-run/{run.id}")
    assert f"'tidegate pipelines get-run {run.id}'" in incident.what_to_do
    assert space.incidents.get(incident.id).timeline[0].text == "step 'refuses' failed: the gate said no"


def test_lists_by_state_and_endpoint(home: Home) -> None:
    space = home.workspace
    for n, endpoint in enumerate(["one", "two", "one"]):
        tell(home.inside, "rollouts.rolled_back", endpoint, rollout=f"r{n}", version="m/2", reason="harm is shown")
    space.loop.tick()
    newest = space.incidents.list(limit=2)
    rest = space.incidents.list(limit=2, cursor=newest.next or "")
    assert [each.cause for each in newest.items + rest.items] == ["rollout/r2", "rollout/r1", "rollout/r0"]
    assert rest.next is None
    assert [each.cause for each in space.incidents.list(endpoint="one").items] == ["rollout/r2", "rollout/r0"]
    space.incidents.resolve(newest.items[0].id, reason="a better one is out")
    assert [each.cause for each in space.incidents.list(state="open", endpoint="one").items] == ["rollout/r0"]
    assert [each.cause for each in space.incidents.list(state="resolved").items] == ["rollout/r2"]


def test_people_move_an_incident_and_wrong_moves_say_why(home: Home, acting: Callable[[str], Workspace]) -> None:
    space = home.workspace
    tell(home.inside, "monitors.episode_opened", "late-arrival", **BROKEN)
    space.loop.tick()
    (incident,) = space.incidents.list().items
    space.people.add("olga", role="contributor")
    space.people.add("reader", role="viewer")
    with pytest.raises(Forbidden):
        acting("reader").incidents.acknowledge(incident.id)
    seen = acting("olga").incidents.acknowledge(incident.id)
    assert (seen.state, seen.acknowledged_by, seen.timeline[-1].text) == ("acknowledged", "olga", "seen")
    with pytest.raises(Conflict, match="was acknowledged by olga already; 'tidegate incidents note"):
        space.incidents.acknowledge(incident.id)
    with pytest.raises(Invalid, match="reason is empty"):
        space.incidents.resolve(incident.id, reason=" ")
    over = space.incidents.resolve(incident.id, reason="the feed is mended")
    assert (over.state, over.resolved_by, over.automatic) == ("resolved", "local", False)
    with pytest.raises(Conflict, match="was resolved by local \\(the feed is mended\\)"):
        space.incidents.acknowledge(incident.id)
    with pytest.raises(Conflict, match="was resolved by local \\(the feed is mended\\)"):
        space.incidents.resolve(incident.id, reason="again")
    noted = space.incidents.note(incident.id, text="it was the unit")
    assert [entry.kind for entry in noted.timeline] == ["opened", "acknowledged", "resolved", "note"]
    assert noted == space.incidents.get(incident.id)
    with pytest.raises(NotFound, match="no incident"):
        space.incidents.get(IdFactory(home.inside.storage.clock).new())
    with pytest.raises(Invalid, match="not an id"):
        space.incidents.note("e1", text="x")
