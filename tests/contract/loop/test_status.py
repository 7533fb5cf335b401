"""The status of a home in which much goes on, in every way to reach it, and the rule of what needs attention."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from tests.contract.incidents.told import tell
from tests.contract.monitors.windy_days import REFERENCE, Change, log_days
from tests.slices import ENDPOINT, deployed
from tidegate.endpoints.records import Strategy
from tidegate.loop.policy import RetrainingPolicy
from tidegate.loop.records import Measure
from tidegate.loop.status import judge
from tidegate.loop.wording import by_weight, changed, decided, retrained
from tidegate.models.records import StagePolicy
from tidegate.monitors.records import QualityWindow
from tidegate.testing.workspaces import Home

CANARY = Strategy(kind="canary", steps=(5, 25, 50, 100))
START = datetime(2013, 7, 1, tzinfo=UTC)


def test_rollouts_and_shadows_are_told_of_their_endpoint(home: Home) -> None:
    deployed(home)
    space = home.workspace
    quiet = space.loop.status().endpoints[0]
    assert (quiet.canary, quiet.shadows, quiet.last_rollout, quiet.episodes, quiet.retraining) == (
        None,
        (),
        None,
        (),
        None,
    )
    rows = space.data.rows("flights/1", features=["distance", "wind", "weekend"], label="late").split(at=500)[0]
    again = space.models.log("late-arrival", LogisticRegression(max_iter=500).fit(rows.X, rows.y), inputs=rows)
    space.models.set_policy("late-arrival", "production", policy=StagePolicy())
    space.models.promote("late-arrival", again.number, to="production")

    first = space.endpoints.deploy(ENDPOINT, again, strategy=CANARY)
    unseen = space.loop.status().endpoints[0].canary
    assert unseen is not None
    assert (unseen.version, unseen.share, unseen.steps, unseen.by) == ("late-arrival/2", 0, (5, 25, 50, 100), "local")
    assert unseen.waits_for == "its rollout has not begun"
    space.loop.tick()
    begun = space.loop.status().endpoints[0].canary
    assert begun is not None
    assert (begun.share, begun.rows, begun.labels) == (5, 0, 0)
    assert begun.waits_for == space.rollouts.get(first.id).reason

    space.rollouts.cancel(first.id, reason="only a trial")
    space.endpoints.deploy(ENDPOINT, again, strategy=CANARY)
    space.endpoints.deploy(ENDPOINT, again, strategy=Strategy(kind="shadow"))
    space.loop.tick()
    both = space.loop.status().endpoints[0]
    assert both.canary is not None
    assert both.canary.share == 5
    assert both.shadows == ("late-arrival/2",)
    assert both.last_rollout is not None
    assert (both.last_rollout.rollout, both.last_rollout.state) == (first.id, "cancelled")
    assert decided(both.last_rollout).endswith("0 rows and 0 days: cancelled by local: only a trial")


def test_a_broken_input_is_an_episode_an_incident_and_a_reason_not_to_train(home: Home) -> None:
    made = deployed(home)
    space = home.workspace
    space.endpoints.deploy("windy", made.version)
    space.pipelines.register("nightly", steps=("tests.contract.pipelines.steps:collect",))
    space.retraining.set_policy("windy", policy=RetrainingPolicy(pipeline="nightly"))
    space.monitors.use_reference("windy", windows=REFERENCE, since=START)
    log_days(home.inside.log, range(REFERENCE + 4), Change(REFERENCE, wind=0.44704), first=START, rows=40)
    tell(home.inside, "pipelines.failed", "nightly", run="r1", step="fit", reason="no rows")
    space.loop.tick()
    space.loop.tick()

    status = space.loop.status()
    assert [(each.endpoint, each.health) for each in status.endpoints] == [
        ("windy", "attention"),
        (ENDPOINT, "waiting"),
    ]
    windy, other = status.endpoints
    assert [changed(each) for each in by_weight(windy.episodes)] == ["wind"]
    assert [each.title for each in windy.incidents] == ["windy: wind is broken"]
    assert windy.reason == ""
    assert windy.retraining is not None
    assert windy.retraining.reason == "broken_input"
    assert retrained(windy.retraining).startswith("held back on ")
    assert (other.episodes, other.incidents, other.retraining) == ((), (), None)
    assert [each.title for each in status.incidents] == ["nightly: the pipeline failed at fit"]

    space.incidents.acknowledge(windy.incidents[0].id)
    seen = space.loop.status().endpoints[0]
    assert (seen.endpoint, seen.health, [each.state for each in seen.incidents]) == (
        "windy",
        "attention",
        ["acknowledged"],
    )
    space.endpoints.retire("windy")
    apart = space.loop.status()
    assert [each.endpoint for each in apart.endpoints] == [ENDPOINT]
    assert {each.endpoint for each in apart.incidents} == {None, "windy"}
    for each in apart.incidents:
        space.incidents.resolve(each.id, reason="seen to")
    assert space.loop.status().incidents == ()


def window(failed: int = 0) -> QualityWindow:
    day: dict[str, Any] = {"start": START, "end": START + timedelta(days=1), "updated_at": START}
    return QualityWindow(endpoint="e", model="m/1", variant="stable", predictions=9, failed=failed, labels=9,
                         latency_p50=1.0, latency_p95=2.0, **day)  # fmt: skip


def measured(high: float | None, labels: int = 30) -> Measure:
    end = START + timedelta(days=1)
    return Measure(metric="AUC", value=0.4, low=0.3, high=high, labels=labels, start=START, end=end)


@pytest.mark.parametrize(
    ("given", "health", "said"),
    [
        ({}, "waiting", ""),
        ({"measures": [measured(0.6)]}, "good", ""),
        ({"measures": [measured(0.6, 14), measured(0.6, 15)]}, "waiting", ""),
        ({"measures": [measured(0.6, 15), measured(0.6, 15)]}, "good", ""),
        ({"measures": [measured(None)]}, "good", ""),
        ({"measures": [measured(0.49)]}, "attention", "worse than chance"),
        ({"measures": [measured(0.6)], "incidents": True}, "attention", ""),
        ({"incidents": True}, "attention", ""),
        ({"windows": [window(3), window()], "incidents": True}, "attention", "3 predictions have no usable answer"),
        ({"orphans": 4, "measures": [measured(0.6)]}, "attention", "4 labels name predictions"),
    ],
)
def test_what_needs_attention(given: dict[str, Any], health: str, said: str) -> None:
    nothing: dict[str, Any] = {"windows": [], "measures": [], "orphans": 0, "incidents": False}
    judged, reason = judge(**(nothing | given))
    assert judged == health
    assert said in reason
    assert bool(said) == bool(reason)
