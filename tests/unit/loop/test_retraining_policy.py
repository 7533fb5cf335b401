"""When a model is trained anew: drift proposes, performance confirms, a broken input blocks; and what holds it back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import Invalid
from tidegate.loop.policy import Decision, RetrainingPolicy, Situation, answer, check_policy, decide

NOW = datetime(2013, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = RetrainingPolicy(pipeline="late-arrival", schedule_days=45, cool_down_days=14, budget=3, budget_days=90)
QUIET = Situation(now=NOW, deployed_at=NOW - 30 * DAY, labels=5_000)


def seen(situation: Situation = QUIET, /, policy: RetrainingPolicy = POLICY, **changes: object) -> Decision | None:
    return decide(policy, msgspec.structs.replace(situation, **changes))


def told(decision: Decision | None) -> tuple[bool, str, str] | None:
    return None if decision is None else (decision.fired, decision.proposal, decision.reason)


def test_nothing_happens_while_nothing_proposes_it() -> None:
    assert seen() is None
    assert seen(policy=msgspec.structs.replace(POLICY, drift=False), drifted=("wind",), lost=("auc",)) is None


def test_drift_alone_is_information() -> None:
    decision = seen(drifted=("temperature", "wind"))
    assert told(decision) == (False, "drift", "performance_holds")
    assert decision is not None
    assert "temperature, wind" in decision.summary


def test_performance_confirms_what_drift_proposes() -> None:
    assert told(seen(drifted=("wind",), lost=("brier",))) == (True, "drift", "confirmed")
    assert told(seen(lost=("brier",))) == (True, "drift", "confirmed")
    assert told(seen(policy=msgspec.structs.replace(POLICY, confirm=False), drifted=("wind",))) == (
        True,
        "drift",
        "confirmed",
    )


def test_the_calendar_needs_no_confirmation_and_counts_from_the_first_deployment() -> None:
    assert told(seen(deployed_at=NOW - 45 * DAY)) == (True, "schedule", "due")
    assert seen(deployed_at=NOW - 45 * DAY + timedelta(seconds=1)) is None
    assert told(seen(deployed_at=NOW - 45 * DAY, drifted=("wind",))) == (True, "schedule", "due")
    assert seen(deployed_at=NOW - 300 * DAY, fired_at=(NOW - 44 * DAY,)) is None


def test_a_broken_input_blocks_everything_and_names_the_column() -> None:
    proposals: list[dict[str, Any]] = [{}, {"lost": ("auc",)}, {"deployed_at": NOW - 90 * DAY}]
    for proposal in proposals:
        decision = seen(broken=("visibility",), **proposal)
        assert told(decision) == (False, "drift", "broken_input")
        assert decision is not None
        assert "visibility is broken" in decision.summary
    asked = answer(POLICY, msgspec.structs.replace(QUIET, broken=("visibility",)))
    assert told(asked) == (False, "asked", "broken_input")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fired_at": (NOW - 13 * DAY,)}, "cooling_down"),
        ({"fired_at": (NOW - 20 * DAY, NOW - 40 * DAY, NOW - 89 * DAY)}, "over_budget"),
        ({"labels": 999}, "few_labels"),
        ({"forbidden": "keeper may not start it"}, "not_permitted"),
    ],
)
def test_what_holds_a_confirmed_retraining_back(changes: dict[str, Any], reason: str) -> None:
    assert told(seen(lost=("auc",), **changes)) == (False, "drift", reason)


def test_nothing_is_said_while_the_last_one_is_not_over() -> None:
    assert seen(lost=("auc",), under_way="the canary late-arrival/2") is None
    assert seen(deployed_at=NOW - 90 * DAY, under_way="run 1") is None
    assert told(seen(under_way="run 1", broken=("wind",))) == (False, "drift", "broken_input")


def test_a_person_who_asks_waits_for_nothing_but_another_run() -> None:
    late = msgspec.structs.replace(QUIET, fired_at=(NOW,) * 5, labels=0)
    assert told(answer(POLICY, late)) == (True, "asked", "asked")
    busy = msgspec.structs.replace(late, under_way="run 1")
    assert told(answer(POLICY, busy)) == (False, "asked", "under_way")


def test_old_retrainings_leave_the_budget() -> None:
    fired = (NOW - 20 * DAY, NOW - 40 * DAY, NOW - 90 * DAY)
    assert told(seen(lost=("auc",), fired_at=fired)) == (True, "drift", "confirmed")


situations = st.builds(
    Situation,
    now=st.just(NOW),
    deployed_at=st.integers(0, 400).map(lambda days: NOW - days * DAY),
    fired_at=st.lists(st.integers(0, 400), max_size=6).map(lambda days: tuple(NOW - d * DAY for d in sorted(days))),
    drifted=st.sampled_from([(), ("wind",), tuple("abcdefgh")]),
    lost=st.sampled_from([(), ("auc",)]),
    broken=st.sampled_from([(), ("wind",)]),
    under_way=st.sampled_from(["", "run 1"]),
    labels=st.integers(0, 5_000),
    forbidden=st.sampled_from(["", "keeper may not start it"]),
)


@given(situations, st.booleans())
def test_nothing_is_ever_fired_against_the_policy(situation: Situation, asked: bool) -> None:
    decision = answer(POLICY, situation) if asked else decide(POLICY, situation)
    if decision is None:
        assert not asked
        assert situation.under_way or not situation.lost
        return
    assert decision.summary
    if decision.fired:
        assert not situation.broken
        assert not situation.under_way
        assert asked or situation.labels >= POLICY.minimum_labels
        assert asked or not situation.forbidden
        assert asked or all(NOW - fired >= 14 * DAY for fired in situation.fired_at)
        assert asked or sum(NOW - fired < 90 * DAY for fired in situation.fired_at) < POLICY.budget


@given(situations)
def test_the_words_of_a_suppression_do_not_change_from_day_to_day(situation: Situation) -> None:
    """Or the log of decisions would fill with the same one."""
    today = decide(POLICY, situation)
    more = decide(POLICY, msgspec.structs.replace(situation, labels=max(0, situation.labels - 1)))
    if today is not None and more is not None and today.reason == more.reason:
        assert today.summary == more.summary


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pipeline": "../x"}, "policy.pipeline"),
        ({"schedule_days": 0.5}, "policy.schedule_days"),
        ({"cool_down_days": -1}, "policy.cool_down_days"),
        ({"budget_days": float("nan")}, "policy.budget_days"),
        ({"maturity_days": float("inf")}, "policy.maturity_days"),
        ({"budget": 0}, "policy.budget"),
        ({"minimum_labels": 0}, "policy.minimum_labels"),
        ({"params": {"rate": float("nan")}}, "policy.params.rate"),
        ({"params": {"reason": "mine"}}, "policy.params"),
        ({"params": {"text": "x" * 40_000}}, "policy.params"),
        ({"params": {"text": "\ud800"}}, "policy.params"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_policy(msgspec.structs.replace(POLICY, **changes))
    assert caught.value.details["field"] == field


def test_a_policy_that_makes_sense_is_taken() -> None:
    check_policy(POLICY)
    check_policy(RetrainingPolicy(pipeline="p"))
