"""How a run moves on: whatever happens to it, in whatever order, its journal stays true."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import Conflict, Invalid
from tidegate.pipelines import rules
from tidegate.pipelines.records import Journaled, PipelineRun, PipelineStep

START = datetime(2013, 7, 1, tzinfo=UTC)
MOVES = ("begin", "done", "wait", "fail", "cancel")


def new_run(steps: int = 3) -> PipelineRun:
    return PipelineRun(
        id="0" * 32,
        pipeline="nightly",
        number=1,
        key="k",
        params={},
        state="pending",
        steps=tuple(PipelineStep(name=f"s{n}", function=f"m:s{n}") for n in range(steps)),
        started_at=START,
        by="local",
    )


def moved(run: PipelineRun, move: str, now: datetime) -> PipelineRun:
    if move == "begin":
        return rules.begin(run, now)
    if move == "done":
        return rules.done(run, {"at": now.isoformat()}, now)
    if move == "wait":
        return rules.wait(run, "approval", None, now)
    return rules.fail(run, "broken", now) if move == "fail" else rules.cancel(run, "not needed", now)


def allowed(run: PipelineRun, move: str) -> bool:
    """The journal begins and fails only what has not ended; `done` and `wait` come from a step that runs."""
    return not run.ended and (move not in ("done", "wait") or run.state == "running")


@given(st.lists(st.sampled_from(MOVES), max_size=30), st.integers(1, 4))
def test_a_journal_only_grows_and_its_end_is_final(moves: list[str], steps: int) -> None:
    run = new_run(steps)
    for n, move in enumerate(moves):
        before, now = run, START + timedelta(minutes=n)
        if not allowed(run, move):
            if move in ("done", "wait", "cancel"):
                with pytest.raises(Conflict):
                    moved(run, move, now)
            continue
        run = moved(run, move, now)
        finished = [step for step in before.steps if step.state == "done"]
        assert list(run.steps[: len(finished)]) == finished, "what is journaled stays as it is"
        states = [step.state for step in run.steps]
        open_from = states.index(next((state for state in states if state != "done"), "done"))
        assert all(state == "pending" for state in states[open_from + 1 :] if state != "done")
        assert run.ended == (run.ended_at is not None)
        assert run.state == ("done" if set(states) == {"done"} else rules.current(run).state)
        assert all(step.attempts <= rules.MOST_ATTEMPTS for step in run.steps)
        assert (run.state == "waiting") == (run.asked_at is not None)


def test_a_step_is_begun_so_often_and_no_more() -> None:
    run = new_run()
    for attempt in range(1, rules.MOST_ATTEMPTS + 1):
        run = rules.begin(run, START)
        assert (run.state, run.steps[0].attempts) == ("running", attempt)
    run = rules.begin(run, START)
    assert run.state == "failed"
    assert "'s0' was begun 3 times" in run.reason


def test_asking_a_step_that_waits_is_no_attempt() -> None:
    run = new_run()
    for _ in range(10):
        run = rules.wait(rules.begin(run, START), "approval", None, START)
    assert (run.state, run.reason, run.steps[0].attempts) == ("waiting", "approval", 0)


def test_when_a_run_that_waits_is_due() -> None:
    waiting = rules.wait(rules.begin(new_run(), START), "approval", None, START)
    assert not rules.is_due(Journaled(waiting, 1, 7), START, 7)
    assert rules.is_due(Journaled(waiting, 1, 7), START, 8), "something has happened"
    assert rules.is_due(Journaled(waiting, 1, 7), START + rules.ASK_AGAIN, 7)
    later = rules.wait(rules.begin(waiting, START), "labels", START + timedelta(days=1), START)
    assert not rules.is_due(Journaled(later, 1, 7), START + timedelta(hours=23), 99)
    assert rules.is_due(Journaled(later, 1, 7), START + timedelta(days=1), 7)
    ended = rules.cancel(later, "not needed", START)
    assert not rules.is_due(Journaled(ended, 1, 7), START + timedelta(days=9), 99)
    assert rules.is_due(Journaled(new_run(), 0, 0), START, 0)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "1 to 100 steps"),
        (["m:f"] * 101, "1 to 100 steps"),
        (["train"], "'package.module:function'"),
        (["os;rm:f"], "not a function"),
        (["a.b:f()"], "not a function"),
        (["a..b:f"], "not a function"),
        (["a:f\n"], "not a function"),
        (["a.b:f", "c.d:f"], "two steps are called 'f'"),
    ],
)
def test_what_is_no_list_of_steps(steps: list[str], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        rules.check_steps(steps)


texts = st.text(st.characters(codec="utf-8"))
numbers = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(texts, json_values, max_size=5))
def test_what_passes_is_what_json_gives_back(value: dict[str, object]) -> None:
    kept = rules.check_json(value, "params", "params")
    assert msgspec.json.decode(msgspec.json.encode(kept)) == kept == value
    assert rules.check_json({"a": (1, 2)}, "params", "params") == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "must be a dict"),
        (None, "must be a dict"),
        ({"a": math.nan}, "the value nan"),
        ({"a": [math.inf]}, "the value inf"),
        ({"a": 2**63}, "the value"),
        ({"a": {"b": START}}, "a datetime \\(params.a.b\\)"),
        ({"a": {1: 2}}, "keys are text"),
        ({"a": "\ud800"}, "not valid Unicode"),
        ({"a": "x" * 70_000}, "at most 65,536"),
    ],
)
def test_what_json_cannot_keep(value: object, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        rules.check_json(value, "params", "params")


def test_nothing_is_nested_without_end() -> None:
    value: dict[str, object] = {}
    value["a"] = value
    with pytest.raises(Invalid, match="nested"):
        rules.check_json(value, "params", "params")
