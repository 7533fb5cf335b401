"""A canary from its deployment to the decision, through the real engine, log and controllers, in the four ways."""

import msgspec
import pytest

import tidegate as tg
from tests.contract.rollouts.flown_flights import FlownFlights, brier
from tidegate.endpoints.records import Deployment
from tidegate.events.store import EventLog
from tidegate.rollouts.records import Rollout


def shares(rollout: Rollout) -> list[float]:
    return [step.share for step in rollout.steps]


def facts(flown: FlownFlights) -> list[str]:
    found = flown.home.inside.storage
    events = EventLog(found.catalog, found.clock, found.ids).after(0, type_prefix="tidegate.rollouts.")
    return [event.type.rpartition(".")[2] for event in events]


def test_a_canary_that_is_not_worse_is_promoted(flown: FlownFlights) -> None:
    workspace = flown.workspace
    first = workspace.endpoints.deploy("late", flown.promoted("good"), outcome_independent=True)
    strategy = tg.canary(steps=[5, 25, 50, 100], margin=0.02, rows=150, labels=150)
    canary = workspace.endpoints.deploy("late", flown.promoted("alike"), strategy=strategy)
    assert (canary.variant, canary.share, canary.state) == ("canary", 0.0, "live")
    assert workspace.models.resolve("late@champion").number == 1
    flown.pass_time(hours=1)
    begun: Deployment = msgspec.structs.replace(canary, share=5.0)
    assert workspace.endpoints.get("late").canary == begun
    rollout = flown.until_decided(canary.id, requests=12)
    assert (rollout.state, shares(rollout)) == ("promoted", [5, 25, 50, 100]), rollout
    assert rollout.rows >= 4 * 150
    assert all(step.rows >= 150 and step.labels >= 150 for step in rollout.steps)
    assert "less than 0.02" in rollout.reason
    shown = {one.guard: one for one in rollout.evidence}
    assert shown["not_worse"].shown
    assert not any(shown[guard].shown for guard in ("errors", "quality", "too_many", "too_few"))
    endpoint = workspace.endpoints.get("late")
    assert endpoint.live is not None
    assert (endpoint.live.id, endpoint.live.variant, endpoint.canary) == (canary.id, "stable", None)
    assert workspace.models.resolve("late@champion").number == 2
    states = {one.id: one.state for one in workspace.endpoints.deployments("late").items}
    assert states == {canary.id: "live", first.id: "replaced"}
    [answer] = workspace.endpoints.predict("late", [flown_row()]).predictions
    assert (answer.model, answer.variant) == ("late/2", "stable")
    assert facts(flown) == ["started", "advanced", "advanced", "advanced", "promoted"]
    told = [row for row in workspace.audit.list(subject="late").items if row.operation.startswith("rollouts.")]
    assert {row.actor for row in told} == {"controller:rollouts"}
    assert "rollouts.promoted" in {row.operation for row in told}
    assert workspace.rollouts.list(endpoint="late").items == [rollout]


def test_a_canary_that_is_worse_is_rolled_back(flown: FlownFlights) -> None:
    assert brier("worse") / brier("good") == pytest.approx(1.15, abs=0.01)
    workspace = flown.workspace
    first = workspace.endpoints.deploy("late", flown.promoted("good"), outcome_independent=True)
    canary = workspace.endpoints.deploy("late", flown.promoted("worse"), strategy=tg.canary(rows=400, labels=400))
    flown.pass_time(hours=1)
    rollout = flown.until_decided(canary.id, requests=20)
    assert rollout.state == "rolled_back", rollout
    assert "mean loss is more than 0.01 above stable's" in rollout.reason
    assert rollout.days is not None
    assert 0 < rollout.days < 1
    quality = next(one for one in rollout.evidence if one.guard == "quality")
    assert quality.shown
    assert quality.alpha == pytest.approx(0.025)
    assert quality.mean_difference is not None
    assert quality.mean_difference > 0
    endpoint = workspace.endpoints.get("late")
    assert (endpoint.live, endpoint.canary) == (first, None)
    assert workspace.models.resolve("late@champion").number == 1
    states = {one.id: (one.state, one.share) for one in workspace.endpoints.deployments("late").items}
    assert states == {first.id: ("live", None), canary.id: ("rolled_back", 0.0)}
    answers = workspace.endpoints.predict("late", [flown_row()] * 200).predictions
    assert {one.model for one in answers} == {"late/1"}


def test_a_useless_canary_is_found_on_the_split_where_outcomes_may_depend(flown: FlownFlights) -> None:
    workspace = flown.workspace
    workspace.endpoints.deploy("late", flown.promoted("good"))
    strategy = tg.canary(steps=[30, 100], rows=5000)
    canary = workspace.endpoints.deploy("late", flown.promoted("useless"), strategy=strategy)
    flown.pass_time(hours=1)
    rollout = flown.until_decided(canary.id, requests=20, rows=400)
    assert (rollout.state, rollout.paired, shares(rollout)) == ("rolled_back", False, [30])
    assert "wrong more often" in rollout.reason
    quality = next(one for one in rollout.evidence if one.guard == "quality")
    assert quality.canary_rows is not None
    assert 0.2 < quality.canary_rows / quality.rows < 0.4


def test_too_little_is_inconclusive(flown: FlownFlights) -> None:
    workspace = flown.workspace
    first = workspace.endpoints.deploy("late", flown.promoted("good"), outcome_independent=True)
    strategy = tg.canary(rows=50, labels=50, days=2)
    canary = workspace.endpoints.deploy("late", flown.promoted("alike"), strategy=strategy)
    flown.pass_time(hours=1)
    flown.fly(60, label=False)
    flown.pass_time(days=1)
    waiting = workspace.rollouts.get(canary.id)
    assert (waiting.state, waiting.reason) == ("running", "at 5 % it waits for 50 more labels")
    flown.pass_time(days=1)
    rollout = workspace.rollouts.get(canary.id)
    assert rollout.state == "inconclusive"
    assert "nothing is shown within 2 days" in rollout.reason
    assert "50 more labels" in rollout.reason
    endpoint = workspace.endpoints.get("late")
    assert (endpoint.live, endpoint.canary) == (first, None)
    assert facts(flown) == ["started", "inconclusive"]


def test_somebody_cancels_or_withdraws(flown: FlownFlights) -> None:
    workspace = flown.workspace
    workspace.endpoints.deploy("late", flown.promoted("good"), outcome_independent=True)
    other = flown.promoted("alike")
    canary = workspace.endpoints.deploy("late", other, strategy=tg.canary())
    assert workspace.endpoints.deploy("late", other, strategy=tg.canary()) == canary
    with pytest.raises(tg.Refused, match=r"late/2 is being rolled out.*withdraw"):
        workspace.endpoints.deploy("late", "late/1", strategy=tg.canary())
    flown.pass_time(hours=1)
    cancelled = workspace.rollouts.cancel(canary.id, reason="the wind has turned")
    assert (cancelled.state, cancelled.reason) == ("cancelled", "cancelled by local: the wind has turned")
    with pytest.raises(tg.Conflict, match="decided already: cancelled"):
        workspace.rollouts.cancel(canary.id)
    with pytest.raises(tg.NotFound, match="tidegate rollouts list"):
        workspace.rollouts.get("f" * 32)
    again = workspace.endpoints.deploy("late", other, strategy=tg.canary())
    flown.pass_time(hours=1)
    assert workspace.endpoints.withdraw("late", deployment="late/2").state == "withdrawn"
    flown.pass_time(hours=1)
    assert workspace.rollouts.get(again.id).reason == "its canary was withdrawn"
    assert [one.id for one in workspace.rollouts.list(limit=1).items] == [again.id]
    page = workspace.rollouts.list(limit=1)
    assert page.next is not None
    assert [one.id for one in workspace.rollouts.list(limit=1, cursor=page.next).items] == [canary.id]
    flown.fly(20, label=False)
    states = [one.state for one in workspace.endpoints.deployments("late").items]
    assert states == ["withdrawn", "withdrawn", "live"]


def flown_row() -> dict[str, object]:
    """One row as the models take it."""
    return {"distance": 700.0, "wind": 9.0, "low_visibility": False, "carrier": "c01"}
