"""Sequential tests: the same in any pieces and after a restart, exact on every short sequence, never overflowing."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.statistics import (
    HarmTest,
    NonInferiorityTest,
    PairedNonInferiorityTest,
    PairedTest,
    SequentialTest,
)

SplitTest = HarmTest | NonInferiorityTest
LossTest = PairedTest | PairedNonInferiorityTest
Row = TypeVar("Row")
SplitRow = tuple[bool, bool, float]

SPLIT: list[Callable[[], SplitTest]] = [
    lambda: HarmTest(0.2),
    lambda: HarmTest(0.2, ratio=1.1),
    lambda: NonInferiorityTest(1.4, 0.2),
]
LOSS: list[Callable[[], LossTest]] = [
    lambda: PairedTest(0.2, 0.03),
    lambda: PairedTest(0.2),
    lambda: PairedNonInferiorityTest(0.03, 0.2),
    lambda: PairedNonInferiorityTest(-0.5, 0.2),
]
ALL: list[Callable[[], SequentialTest]] = [*SPLIT, *LOSS]

split_rows = st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(1e-6, 1 - 1e-6)), max_size=60)
loss_rows = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=60)
cuts = st.lists(st.integers(0, 60), max_size=5)


def take(test: SplitTest, rows: Sequence[SplitRow]) -> None:
    canary, event, weight = ([row[at] for row in rows] for at in range(3))
    test.observe_many(canary=canary, event=event, weight=weight)


def take_losses(test: LossTest, rows: Sequence[tuple[float, float]]) -> None:
    test.observe_many(stable=[row[0] for row in rows], candidate=[row[1] for row in rows])


def pieces(rows: Sequence[Row], at: list[int]) -> list[Sequence[Row]]:
    bounds = [0, *sorted(min(cut, len(rows)) for cut in at), len(rows)]
    return [rows[start:end] for start, end in itertools.pairwise(bounds)]


def assert_same(one: SequentialTest, other: SequentialTest) -> None:
    left, right = one.state(), other.state()
    assert left.keys() == right.keys()
    for name, value in left.items():
        exact = value is None or isinstance(value, str | int)
        assert right[name] == (value if exact else pytest.approx(value, rel=1e-9, abs=1e-9)), name
    assert one.decision == other.decision
    assert one.log_e_value == pytest.approx(other.log_e_value, rel=1e-9, abs=1e-9)


@given(split_rows, cuts, st.sampled_from(SPLIT))
def test_split_rows_one_by_one_equal_rows_in_any_pieces(
    rows: list[SplitRow], at: list[int], make: Callable[[], SplitTest]
) -> None:
    one, many = make(), make()
    for row in rows:
        one.observe(*row)
    for piece in pieces(rows, at):
        take(many, piece)
    assert_same(one, many)
    assert one.n == len(rows)
    assert one.events == sum(event for _, event, _ in rows)
    assert one.canary_events == sum(canary and event for canary, event, _ in rows)


@given(loss_rows, cuts, st.sampled_from(LOSS))
def test_pairs_one_by_one_equal_pairs_in_any_pieces(
    rows: list[tuple[float, float]], at: list[int], make: Callable[[], LossTest]
) -> None:
    one, many = make(), make()
    for row in rows:
        one.observe(*row)
    for piece in pieces(rows, at):
        take_losses(many, piece)
    assert_same(one, many)
    if rows:
        assert one.mean_difference == pytest.approx(np.mean([new - known for known, new in rows]), abs=1e-9)


@given(split_rows, st.integers(0, 60), st.sampled_from(SPLIT))
def test_a_split_test_goes_on_from_its_state(rows: list[SplitRow], cut: int, make: Callable[[], SplitTest]) -> None:
    whole, begun = make(), make()
    take(whole, rows[:cut])
    take(begun, rows[:cut])
    resumed = type(begun).from_state(json.loads(json.dumps(begun.state())))
    assert resumed.state() == begun.state()
    take(whole, rows[cut:])
    take(resumed, rows[cut:])
    assert resumed.state() == whole.state()


@given(loss_rows, st.integers(0, 60), st.sampled_from(LOSS))
def test_a_paired_test_goes_on_from_its_state(
    rows: list[tuple[float, float]], cut: int, make: Callable[[], LossTest]
) -> None:
    whole, begun = make(), make()
    take_losses(whole, rows[:cut])
    take_losses(begun, rows[:cut])
    resumed = type(begun).from_state(json.loads(json.dumps(begun.state())))
    assert resumed.state() == begun.state()
    take_losses(whole, rows[cut:])
    take_losses(resumed, rows[cut:])
    assert resumed.state() == whole.state()


@given(split_rows, st.randoms(use_true_random=False), st.sampled_from(SPLIT))
def test_the_order_of_rows_moves_the_decision_but_not_the_e_value(
    rows: list[SplitRow], shuffle: Any, make: Callable[[], SplitTest]
) -> None:
    one, other = make(), make()
    take(one, rows)
    take(other, shuffle.sample(rows, len(rows)))
    assert one.log_e_value == pytest.approx(other.log_e_value, abs=1e-9)


def test_a_decision_once_made_stays() -> None:
    bad, good = [(True, True, 0.5)] * 12, [(False, True, 0.5)] * 40
    early, late = HarmTest(), HarmTest()
    take(early, bad + good)
    take(late, good + bad)
    assert early.log_e_value == pytest.approx(late.log_e_value)
    assert early.log_e_value < 0
    assert (early.decision, late.decision) == ("stop", "continue")
    assert early.evidence >= early.threshold == pytest.approx(math.log(20))
    assert late.evidence < late.threshold
    assert early.decided_at is not None
    assert early.decided_at <= 12


def test_rows_without_an_event_tell_nothing() -> None:
    test = HarmTest()
    test.observe_many(canary=np.ones(1000, np.bool_), event=np.zeros(1000, np.bool_), weight=0.5)
    assert (test.n, test.events, test.canary_n, test.evidence, test.log_e_value) == (1000, 0, 1000, 0.0, 0.0)


def test_one_weight_may_stand_for_all_rows() -> None:
    one, other = HarmTest(), HarmTest()
    one.observe_many(canary=[1, 0, 1], event=[1, 1, 0], weight=0.1)
    other.observe_many(canary=[True, False, True], event=[True, True, False], weight=[0.1, 0.1, 0.1])
    assert one.state() == other.state()


@pytest.mark.parametrize(("ratio", "boundary"), [(1.0, True), (0.6, False)])
@pytest.mark.parametrize("allowed", [1.0, 1.3])
def test_harm_is_exact_over_all_sequences(ratio: float, boundary: bool, allowed: float) -> None:
    """On average the e-value is 1 at the boundary and less inside, and it crosses with chance alpha at most."""
    weights = [0.05, 0.5, 0.9, 0.2, 0.5, 0.35, 0.1, 0.6, 0.25, 0.5]
    mean, alarms = all_sequences(lambda: HarmTest(0.25, ratio=allowed), weights, ratio * allowed)
    assert mean == pytest.approx(1.0, abs=1e-9) if boundary else mean < 1
    assert alarms <= 0.25


@pytest.mark.parametrize(("ratio", "boundary"), [(1.4, True), (1.8, False)])
def test_non_inferiority_is_exact_over_all_sequences(ratio: float, boundary: bool) -> None:
    weights = [0.05, 0.5, 0.9, 0.2, 0.5, 0.35, 0.1, 0.6, 0.25, 0.5]
    mean, alarms = all_sequences(lambda: NonInferiorityTest(1.4, 0.25), weights, ratio)
    assert mean == pytest.approx(1.0, abs=1e-9) if boundary else mean < 1
    assert alarms <= 0.25


def all_sequences(make: Callable[[], SplitTest], weights: list[float], ratio: float) -> tuple[float, float]:
    """The exact mean of the e-value, and the exact chance of a decision, where each row has an event."""
    mean = alarms = 0.0
    for answered in itertools.product((False, True), repeat=len(weights)):
        test, chance = make(), 1.0
        for canary, weight in zip(answered, weights, strict=True):
            mine = weight * ratio / (weight * ratio + 1 - weight)
            chance *= mine if canary else 1 - mine
            test.observe(canary, True, weight)
        mean += chance * math.exp(test.log_e_value)
        alarms += chance * (test.decision == "stop")
    return mean, alarms


@pytest.mark.parametrize("make", [lambda: PairedTest(0.25, 0.1), lambda: PairedNonInferiorityTest(0.1, 0.25)])
def test_pairs_are_exact_over_all_sequences(make: Callable[[], LossTest]) -> None:
    """Differences of 1, 0.2 and -0.9 whose mean is the margin of 0.1."""
    outcomes = [((0.0, 1.0), 0.2875), ((0.4, 0.6), 0.4125), ((1.0, 0.1), 0.3)]
    mean = alarms = 0.0
    for sequence in itertools.product(outcomes, repeat=7):
        test = make()
        for (known, new), _ in sequence:
            test.observe(known, new)
        chance = math.prod(one for _, one in sequence)
        mean += chance * math.exp(test.log_e_value)
        alarms += chance * (test.decision == "stop")
    assert mean == pytest.approx(1.0, abs=1e-9)
    assert alarms <= 0.25


@pytest.mark.parametrize("worse", [True, False])
def test_a_million_rows_of_one_kind_do_not_overflow(worse: bool) -> None:
    rows = 1_000_000
    kind = np.full(rows, worse)
    harm, paired = HarmTest(), PairedTest()
    harm.observe_many(canary=kind, event=np.ones(rows, np.bool_), weight=0.01)
    paired.observe_many(stable=~kind, candidate=kind)
    for test in (harm, paired):
        assert test.decision == ("stop" if worse else "continue")
        assert math.isfinite(test.evidence)
        assert math.isfinite(test.log_e_value)
        assert type(test).from_state(json.loads(json.dumps(test.state()))).state() == test.state()


NAN = float("nan")


@pytest.mark.parametrize(
    ("canary", "event", "weight", "says"),
    [
        ([True], [True], 0.0, "weight"),
        ([True], [True], 1.0, "weight"),
        ([True], [True], NAN, "weight"),
        ([True, True], [True, False], [0.5, 1.5], "weight"),
        ([True], [True], [[0.5]], "weight"),
        ([True], [True, False], 0.5, "1 canary, 2 event"),
        ([True], [True], [0.5, 0.5], "2 weight"),
        ([NAN], [True], 0.5, "canary"),
        ([True], [2], 0.5, "event"),
        ([True], [None], 0.5, "event"),
        ([[True]], [True], 0.5, "canary"),
    ],
)
@pytest.mark.parametrize("make", SPLIT)
def test_invalid_rows_are_refused_and_change_nothing(
    make: Callable[[], SplitTest], canary: Any, event: Any, weight: Any, says: str
) -> None:
    test = make()
    take(test, [(True, True, 0.5)])
    before = test.state()
    with pytest.raises(ValueError, match=says):
        test.observe_many(canary=canary, event=event, weight=weight)
    assert test.state() == before


@pytest.mark.parametrize(
    ("stable", "candidate", "says"),
    [
        ([0.5], [1.1], "candidate is 1.1 in row 0"),
        ([0.5, -0.1], [0.5, 0.5], "stable is -0.1 in row 1"),
        ([0.5], [NAN], "candidate is nan"),
        ([0.5], [0.5, 0.5], "1 stable, 2 candidate"),
        ([[0.5]], [0.5], "stable"),
    ],
)
@pytest.mark.parametrize("make", LOSS)
def test_invalid_losses_are_refused_and_change_nothing(
    make: Callable[[], LossTest], stable: Any, candidate: Any, says: str
) -> None:
    test = make()
    test.observe(0.2, 0.4)
    before = test.state()
    with pytest.raises(ValueError, match=says):
        test.observe_many(stable=stable, candidate=candidate)
    assert test.state() == before


@pytest.mark.parametrize("row", [(True, True, 0.0), (True, True, NAN), (NAN, True, 0.5), (True, 2, 0.5)])
def test_an_invalid_row_is_refused_and_changes_nothing(row: Any) -> None:
    test = HarmTest()
    with pytest.raises(ValueError, match=r"weight|canary and event"):
        test.observe(*row)
    assert test.state() == HarmTest().state()


@pytest.mark.parametrize("row", [(0.5, 1.1), (-0.1, 0.5), (NAN, 0.5)])
def test_an_invalid_pair_is_refused_and_changes_nothing(row: tuple[float, float]) -> None:
    test = PairedTest()
    with pytest.raises(ValueError, match="losses"):
        test.observe(*row)
    assert test.state() == PairedTest().state()


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 5, NAN])
def test_an_alpha_outside_0_and_1_is_refused(alpha: float) -> None:
    for make in (HarmTest, NonInferiorityTest, PairedTest):
        with pytest.raises(ValueError, match="alpha"):
            make(alpha=alpha)
    with pytest.raises(ValueError, match="alpha"):
        PairedNonInferiorityTest(0.01, alpha)


@pytest.mark.parametrize("wrong", [1.0, 0.5, NAN, math.inf, -1.0])
def test_a_ratio_or_margin_that_asks_nothing_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        NonInferiorityTest(wrong)
    with pytest.raises(ValueError, match="ratio"):
        HarmTest(ratio=min(wrong, 0.99))
    if wrong != 0.5:
        with pytest.raises(ValueError, match="margin"):
            PairedTest(margin=wrong)
        with pytest.raises(ValueError, match="margin"):
            PairedNonInferiorityTest(wrong)


@pytest.mark.parametrize("make", ALL)
def test_a_damaged_or_foreign_state_is_refused(make: Callable[[], SequentialTest]) -> None:
    test = make()
    other = PairedTest if test.name == "harm" else HarmTest
    with pytest.raises(ValueError, match="this is the state of"):
        other.from_state(test.state())
    for name in test.state():
        with pytest.raises(ValueError, match="state"):
            type(test).from_state({key: value for key, value in test.state().items() if key != name})
    for damage in ({"wealth": [0.0]}, {"evidence": NAN}, {"wealth": "none"}, {"n": None}):
        with pytest.raises(ValueError):
            type(test).from_state({**test.state(), **damage})


def test_the_bets_of_a_state_are_kept() -> None:
    """A later version with other bets goes on with those that the wealth was earned by."""
    old = HarmTest()
    state = {**old.state(), "bets": [2.0], "shares": [1.0], "wealth": [0.0]}
    test = HarmTest.from_state(state)
    test.observe(True, True, 0.5)
    assert test.log_e_value == pytest.approx(math.log(2 / 1.5))
    take(test, [(True, True, 0.5)])
    assert test.log_e_value == pytest.approx(2 * math.log(2 / 1.5))


@settings(max_examples=30)
@given(st.integers(1, 3))
def test_rows_beyond_one_block_are_the_same(blocks: int) -> None:
    rng = np.random.default_rng(blocks)
    stable, candidate = rng.random((2, 4096 * blocks + 7))
    one, other = PairedTest(), PairedTest()
    one.observe_many(stable=stable, candidate=candidate)
    for part in np.array_split(np.arange(len(stable)), 13):
        other.observe_many(stable=stable[part], candidate=candidate[part])
    assert_same(one, other)
