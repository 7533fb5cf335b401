"""What a fact does to incidents, and how an incident moves from state to state."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.events.records import Event
from tidegate.incidents import rules
from tidegate.incidents.records import Incident
from tidegate.incidents.rules import Addition, Closing, Opening
from tidegate.kernel.errors import Conflict, Invalid

START = datetime(2013, 7, 1, tzinfo=UTC)
BROKEN: dict[str, object] = {
    "episode": "e1",
    "kind": "feature",
    "column": "wind_speed_mph",
    "severity": "incident",
    "diagnosis": "broken_input",
    "summary": "wind_speed_mph is 0.45 times what it was",
}


def fact(kind: str, subject: str, /, **data: object) -> Event:
    return Event(
        position=7, id="f" * 32, type=f"tidegate.{kind}", subject=subject, time=START, actor="local", data=data
    )


def incident() -> Incident:
    return Incident(
        id="0" * 32,
        subject="late",
        endpoint="late",
        title="late: wind is broken",
        severity="critical",
        state="open",
        cause="episode/e1",
        what_to_do="mend it",
        position=7,
        opened_at=START,
    )


def test_a_broken_input_opens_an_incident_that_says_what_to_do() -> None:
    for kind in ("monitors.episode_opened", "monitors.episode_updated"):
        effect = rules.read(fact(kind, "late arrival", **BROKEN))
        assert effect == Opening(
            "episode/e1",
            "late arrival",
            "late arrival: wind_speed_mph is broken",
            "critical",
            "mend the source of wind_speed_mph; retraining is held back until then; "
            "'tidegate monitors diagnosis \"late arrival\"' shows the evidence",
            "wind_speed_mph is 0.45 times what it was",
        )


@pytest.mark.parametrize("diagnosis", ["no_change", "covariate_shift", "concept_change", "insufficient_labels", ""])
def test_every_diagnosis_has_a_title_and_a_remedy(diagnosis: str) -> None:
    effect = rules.read(fact("monitors.episode_opened", "late", **{**BROKEN, "diagnosis": diagnosis}))
    assert isinstance(effect, Opening)
    assert effect.title.startswith("late: ")
    assert "'tidegate monitors diagnosis late' shows the evidence" in effect.what_to_do


def test_an_episode_without_harm_only_adds_to_what_it_opened() -> None:
    effect = rules.read(fact("monitors.episode_updated", "late", **{**BROKEN, "severity": "information"}))
    assert effect == Addition("seen", "wind_speed_mph is 0.45 times what it was", cause="episode/e1")


def test_the_other_facts() -> None:
    closed = rules.read(fact("monitors.episode_closed", "late", episode="e1", summary="back again"))
    assert closed == Closing("episode/e1", "back again")
    held = rules.read(fact("loop.retraining_suppressed", "late", reason="an input is broken"))
    assert held == Addition("held_back", "no retraining: an input is broken", endpoint="late")
    back = rules.read(fact("rollouts.rolled_back", "late", rollout="r1", version="m/3", reason="harm is shown"))
    assert isinstance(back, Opening)
    assert (back.cause, back.severity, back.title) == ("rollout/r1", "warning", "late: m/3 was rolled back")
    assert "tidegate rollouts get r1" in back.what_to_do
    failed = rules.read(fact("pipelines.failed", "nightly", run="p1", step="train", reason="no rows"))
    assert isinstance(failed, Opening)
    assert (failed.cause, failed.endpoint, failed.text) == ("pipeline-run/p1", None, "no rows")
    assert failed.title == "nightly: the pipeline failed at train"
    for kind in ("models.promoted", "incidents.opened", "monitors.window_set", "monitors.episode_openedx"):
        assert rules.read(fact(kind, "late arrival", **BROKEN)) is None


@given(
    st.sampled_from(sorted(rules.RULES)),
    st.dictionaries(
        st.sampled_from([*BROKEN, "run", "step", "reason", "rollout", "version"]),
        st.none() | st.integers() | st.text(max_size=300) | st.lists(st.integers(), max_size=2),
    ),
)
def test_no_fact_of_ours_is_unreadable(kind: str, data: dict[str, object]) -> None:
    effect = rules.read(fact(kind.removeprefix("tidegate."), "late", **data))
    assert effect is not None
    assert 0 < len(effect.text) <= rules.LONGEST + 20
    if isinstance(effect, Opening | Closing):
        assert 0 < len(effect.cause) <= 200


@given(st.lists(st.sampled_from(["acknowledge", "resolve", "resolve itself"]), max_size=8))
def test_resolved_is_final_and_every_other_move_is_once(moves: list[str]) -> None:
    now = incident()
    for n, move in enumerate(moves):
        at = START + timedelta(hours=n)
        legal = now.state == "open" if move == "acknowledge" else now.state != "resolved"
        before = now
        try:
            if move == "acknowledge":
                now = rules.acknowledge(now, "olga", at)
            else:
                now = rules.resolve(now, "olga" if move == "resolve" else None, "mended", at)
        except Conflict:
            assert not legal
            assert now == before
            continue
        assert legal
        assert now.state == ("acknowledged" if move == "acknowledge" else "resolved")
        assert (now.acknowledged_at is None) == (now.acknowledged_by is None)
        assert now.automatic == (now.state == "resolved" and now.resolved_by is None)
    if "resolve" in moves or "resolve itself" in moves:
        assert now.state == "resolved"


def test_people_say_something() -> None:
    for text in ("", "  \n", "x" * 2001):
        with pytest.raises(Invalid):
            rules.check_text(text, "reason")
    assert rules.check_text("mended", "reason") == "mended"
