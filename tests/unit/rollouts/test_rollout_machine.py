"""The laws of `rules.advance`, under whatever is seen and however time passes."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.endpoints.records import Strategy
from tidegate.endpoints.strategies import canary
from tidegate.rollouts import rules
from tidegate.rollouts.records import Rollout, StepTaken
from tidegate.rollouts.rules import News, Outlook, Pairs, Split

START = datetime(2013, 6, 1, tzinfo=UTC)
STRATEGY = canary(steps=[5, 25, 50, 100], rows=20, labels=10, least_days=7, days=30)


def begun(strategy: Strategy = STRATEGY, *, paired: bool = True) -> Rollout:
    guards = rules.new_guards(strategy, paired=paired)
    return Rollout(
        id="a" * 32,
        endpoint="late",
        version="late/2",
        stable="late/1",
        strategy=strategy,
        paired=paired,
        steps=(StepTaken(share=strategy.steps[0], since=START),),
        evidence=rules.evidence_of(guards),
        reason="",
        started_at=START,
        by="local",
    )


def split(canary: list[bool], event: list[bool], weight: float = 0.25) -> Split:
    return Split(np.array(canary, bool), np.array(event, bool), np.full(len(canary), weight))


NOTHING = split([], [])
NO_PAIRS = Pairs(np.array([]), np.array([]))

looks = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.integers(0, 30),
        st.booleans(),
        st.sampled_from(["", "", "", "", "", "", "the canary fails"]),
        st.sampled_from(["", "", "", "", "", "", "", "too many"]),
        st.floats(0, 4),
    ),
    max_size=40,
)


@given(looks, st.booleans())
def test_no_path_skips_a_step_and_the_end_is_final(
    seen: list[tuple[int, int, bool, str, str, float]], paired: bool
) -> None:
    rollout, now, shown = begun(paired=paired), START, False
    for rows, labels, not_worse, harm, mismatch, days in seen:
        now += timedelta(days=days)
        shown = shown or not_worse
        news = News(NOTHING, NO_PAIRS, rows, rows, labels)
        look = Outlook(harm, mismatch, shown)
        counted = rules.counted(rollout, news) if rollout.state == "running" else rollout
        after = rules.advance(counted, look, now)
        if rollout.state != "running":
            assert after == rollout, "law 1: final"
            continue
        assert after.steps[: len(rollout.steps) - 1] == rollout.steps[:-1], "what was is not rewritten"
        shares = tuple(step.share for step in after.steps)
        assert shares == STRATEGY.steps[: len(shares)], "law 3: one at a time, none skipped"
        assert len(after.steps) - len(rollout.steps) in (0, 1)
        if len(after.steps) > len(rollout.steps):
            left = after.steps[-2]
            assert left.rows >= STRATEGY.rows
            assert left.labels >= STRATEGY.labels
            assert paired or shown or after.share < 100, "law 4: split traffic tells nothing at 100 %"
        if harm:
            assert after.state == "rolled_back", "law 2: harm first"
        if after.state == "promoted":
            assert after.share == 100
            assert shown, "law 4: shown"
            assert after.steps[-1].rows >= STRATEGY.rows
            assert now - START >= timedelta(days=STRATEGY.least_days), "law 6: patient"
        if now - START >= timedelta(days=STRATEGY.days):
            assert after.state != "running", "law 5: bounded"
        if after.state == "running":
            assert after.decided_at is None
        else:
            assert after.decided_at == now
            assert after.days == pytest.approx((now - START) / timedelta(days=1))
        assert after.reason
        rollout = after


pieces = st.lists(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1), st.floats(0, 1)), max_size=30), max_size=8
)


@given(pieces, st.booleans())
def test_evidence_never_decreases_and_survives_being_kept(
    batches: list[list[tuple[bool, bool, float, float]]], paired: bool
) -> None:
    guards = rules.new_guards(STRATEGY, paired=paired)
    before = [one.evidence for one in rules.evidence_of(guards)]
    for rows in batches:
        errors = split([row[0] for row in rows], [row[1] for row in rows])
        losses = Pairs(np.array([row[2] for row in rows]), np.array([row[3] for row in rows]))
        rules.observe(guards, News(errors, losses if paired else errors, len(rows), 0, 0))
        kept = msgspec.json.decode(msgspec.json.encode(guards.state()))
        guards = rules.guards_of(kept, paired=paired)
        assert guards.state() == kept, "nothing is lost on the way through the catalog"
        after = [one.evidence for one in rules.evidence_of(guards)]
        assert all(new >= old for new, old in zip(after, before, strict=True))
        before = after
    rows_seen = sum(map(len, batches))
    assert {one.rows for one in rules.evidence_of(guards)} == {rows_seen}


def test_harm_is_divided_and_margins_are_printed() -> None:
    shown = {one.guard: one for one in rules.evidence_of(rules.new_guards(canary(alpha=0.1, margin=0.03), paired=True))}
    assert (shown["errors"].alpha, shown["quality"].alpha, shown["not_worse"].alpha) == (0.05, 0.05, 0.1)
    assert "less than 0.03 above" in shown["not_worse"].claim
    assert "more than 0.03 above" in shown["quality"].claim
    apart = {one.guard: one for one in rules.evidence_of(rules.new_guards(canary(ratio=1.3), paired=False))}
    assert "below 1.3 times" in apart["not_worse"].claim
    assert "wrong more often" in apart["quality"].claim


def test_a_router_that_is_not_true_is_noticed() -> None:
    guards = rules.new_guards(STRATEGY, paired=True)
    rng = np.random.default_rng(3)
    true = split((rng.random(4000) < 0.25).tolist(), [False] * 4000)
    rules.observe(guards, News(true, NO_PAIRS, 0, 0, 0))
    assert rules.outlook(guards) == Outlook()
    for share, claim in ((0.4, "more rows"), (0.1, "fewer rows")):
        skewed = rules.new_guards(STRATEGY, paired=True)
        rows = split((rng.random(2000) < share).tolist(), [False] * 2000)
        rules.observe(skewed, News(rows, NO_PAIRS, 0, 0, 0))
        seen = rules.outlook(skewed)
        assert claim in seen.mismatch
        after = rules.advance(begun(), seen, START)
        assert (after.state, claim in after.reason) == ("inconclusive", True)


def test_it_waits_for_its_least_days_and_then_is_promoted() -> None:
    whole = msgspec.structs.replace(begun(), steps=(StepTaken(share=100, since=START, rows=900, labels=900),))
    early, seen = START + timedelta(days=6.25), Outlook(not_worse=True)
    waiting = rules.advance(whole, seen, early)
    assert (waiting.state, waiting.reason) == ("running", "at 100 % it waits for 0.8 more days")
    assert rules.advance(whole, Outlook("harm", "", True), early).state == "rolled_back"
    assert rules.advance(whole, seen, START + timedelta(days=7)).state == "promoted"


def test_what_it_waits_for_is_said() -> None:
    after = rules.advance(begun(), Outlook(), START)
    assert after.reason == "at 5 % it waits for 20 more rows and 10 more labels"
    near = rules.counted(begun(), News(NOTHING, NO_PAIRS, 30, 19, 10))
    assert rules.advance(near, Outlook(), START).reason == "at 5 % it waits for 1 more rows"
    assert near.rows == 30
