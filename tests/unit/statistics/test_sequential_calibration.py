"""Sequential tests looked at after every row: rarely wrong, and quick to find what is there, by seeded simulation.

A decision stays once made, so that "stop" after the last row means that a look after some row would have stopped.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tidegate.statistics import HarmTest, NonInferiorityTest, PairedNonInferiorityTest, PairedTest

Floats = NDArray[np.float64]
SplitTest = HarmTest | NonInferiorityTest
LossTest = PairedTest | PairedNonInferiorityTest

ALPHA = 0.05
RUNS = 400
MOST = int(stats.binom.ppf(0.999, RUNS, ALPHA))
"""A test that is wrong with chance alpha exactly is wrong more often than this in 1 of 1,000 simulations: 35 of 400."""
ROWS = 12_000

EVEN = np.full(ROWS, 0.5)
TENTH = np.full(ROWS, 0.1)
RAMP = np.repeat([0.01, 0.05, 0.1, 0.25, 0.5], ROWS // 5)
STEADY = np.full(ROWS, 0.05)
RISING = np.linspace(0.02, 0.1, ROWS)
FALLING = np.linspace(0.1, 0.02, ROWS)
TRAFFIC = [
    pytest.param(EVEN, STEADY, id="even"),
    pytest.param(TENTH, STEADY, id="tenth"),
    pytest.param(RAMP, STEADY, id="ramp"),
    pytest.param(RAMP, RISING, id="ramp, base rising"),
    pytest.param(RAMP, FALLING, id="ramp, base falling"),
]


def traffic(seed: int, weights: Floats, base: Floats, ratio: float = 1.0) -> dict[str, Any]:
    """Rows as `observe_many` takes them; the canary's rate is `ratio` times the base."""
    rng = np.random.default_rng(seed)
    canary = rng.random(len(weights)) < weights
    event = rng.random(len(weights)) < np.where(canary, ratio, 1.0) * base
    return {"canary": canary, "event": event, "weight": weights}


def decided(make: Callable[[], SplitTest], weights: Floats, base: Floats, ratio: float, runs: int = RUNS) -> Floats:
    """Rows until the decision, a run each; infinite where there was none."""
    found = []
    for seed in range(runs):
        test = make()
        test.observe_many(**traffic(seed, weights, base, ratio))
        found.append(math.inf if test.decided_at is None else test.decided_at)
    return np.array(found)


def alarms(found: Floats) -> int:
    return int(np.isfinite(found).sum())


@pytest.mark.parametrize(("weights", "base"), TRAFFIC)
def test_equal_variants_are_rarely_called_harmful(weights: Floats, base: Floats) -> None:
    assert alarms(decided(lambda: HarmTest(ALPHA), weights, base, 1.0)) <= MOST


@pytest.mark.parametrize(("weights", "base"), TRAFFIC)
def test_a_canary_at_the_ratio_is_rarely_called_not_worse(weights: Floats, base: Floats) -> None:
    assert alarms(decided(lambda: NonInferiorityTest(1.4, ALPHA), weights, base, 1.4)) <= MOST


def test_weights_that_follow_the_evidence_cause_no_alarms() -> None:
    """The next step goes up while the canary looks well, and back to the first as soon as it looks bad."""
    stopped = 0
    for seed in range(RUNS):
        test, step = HarmTest(ALPHA), 0
        for piece in range(12):
            weights = np.full(1_000, (0.01, 0.05, 0.1, 0.25, 0.5)[step])
            test.observe_many(**traffic(seed * 100 + piece, weights, RISING[piece * 1_000 : (piece + 1) * 1_000]))
            step = min(step + 1, 4) if test.log_e_value <= 0 else 0
        stopped += test.decision == "stop"
    assert stopped <= MOST


def test_the_simulation_has_teeth() -> None:
    """A pooled z-test at each look, which ramp and rising base rate deceive in nearly every run."""
    stopped = 0
    for seed in range(100):
        rows = traffic(seed, RAMP, RISING)
        n, events = np.cumsum(rows["canary"]), np.cumsum(rows["event"] & rows["canary"])
        others, other_events = np.cumsum(~rows["canary"]), np.cumsum(rows["event"] & ~rows["canary"])
        n, events, others, other_events = (one[500::50] for one in (n, events, others, other_events))
        pooled = (events + other_events) / (n + others)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n.clip(1) + 1 / others.clip(1)))
        stopped += bool(((events / n.clip(1) - other_events / others.clip(1)) / error > 1.645).any())
    assert stopped >= 80


@pytest.mark.parametrize(
    ("weights", "base", "ratio", "most"),
    [
        pytest.param(EVEN, STEADY, 1.4, 5_000, id="5 to 7 %, even"),
        pytest.param(EVEN, STEADY, 2.0, 1_000, id="5 to 10 %, even"),
        pytest.param(TENTH, STEADY, 2.0, 2_800, id="5 to 10 %, tenth"),
        pytest.param(TENTH, np.full(ROWS, 0.01), 20.0, 600, id="1 to 20 %, tenth"),
    ],
)
def test_harm_is_found(weights: Floats, base: Floats, ratio: float, most: int) -> None:
    found = decided(lambda: HarmTest(ALPHA), weights, base, ratio, runs=60)
    assert np.median(found) <= most
    assert alarms(found) >= 57


def test_an_equal_canary_is_shown_not_to_be_worse() -> None:
    weights, base = np.full(25_000, 0.5), np.full(25_000, 0.05)
    found = decided(lambda: NonInferiorityTest(1.4, ALPHA), weights, base, 1.0, runs=60)
    assert np.median(found) <= 5_000
    assert alarms(found) >= 57


def test_a_canary_beyond_the_ratio_is_never_called_not_worse() -> None:
    assert alarms(decided(lambda: NonInferiorityTest(1.4, ALPHA), EVEN, STEADY, 1.7, runs=100)) == 0


def logistic(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)), dtype=np.float64)


def brier(seed: int, rows: int, *, shared: float, stable: float, candidate: float) -> tuple[Floats, Floats]:
    """Brier losses of two models of one event; of each model's error in log odds `shared` is common to both."""
    rng = np.random.default_rng(seed)
    truth = -1.35 + 1.05 * rng.normal(size=rows)
    happened = rng.random(rows) < logistic(truth)
    common = shared * rng.normal(size=rows)
    return (
        (logistic(truth + common + stable * rng.normal(size=rows)) - happened) ** 2,
        (logistic(truth + common + candidate * rng.normal(size=rows)) - happened) ** 2,
    )


PAIR_ROWS = 4_000


def swaps(seed: int) -> tuple[Floats, Floats]:
    """Two equally noisy models."""
    return brier(seed, PAIR_ROWS, shared=0.5, stable=0.7, candidate=0.7)


def one_sided(seed: int) -> tuple[Floats, Floats]:
    """Equal on average: mostly a little better, seldom much worse."""
    worse = np.random.default_rng(seed).random(PAIR_ROWS) < 0.1
    return np.where(worse, 0.1, 0.2), np.where(worse, 1.0, 0.1)


def fading(seed: int) -> tuple[Floats, Floats]:
    """Better by 0.05 in the beginning, equal in the end, noisier as time goes on."""
    rng = np.random.default_rng(seed)
    spread = np.linspace(0.05, 0.4, PAIR_ROWS) * rng.choice([-1, 1], PAIR_ROWS)
    return np.full(PAIR_ROWS, 0.5), 0.5 + spread - np.linspace(0.05, 0, PAIR_ROWS)


def waves(seed: int) -> tuple[Floats, Floats]:
    """Better for some hundred rows, then as much worse, and so on: never worse on average over the rows up to then."""
    noise = 0.2 * np.random.default_rng(seed).choice([-1, 1], PAIR_ROWS)
    return np.full(PAIR_ROWS, 0.5), 0.5 + noise - 0.25 * np.sin(np.arange(PAIR_ROWS) / 150)


@pytest.mark.parametrize("losses", [swaps, one_sided, fading, waves])
def test_a_candidate_that_is_not_worse_is_rarely_called_worse(
    losses: Callable[[int], tuple[Floats, Floats]],
) -> None:
    assert stops(lambda: PairedTest(ALPHA), losses) <= MOST


def stops(make: Callable[[], LossTest], losses: Callable[[int], tuple[Floats, Floats]]) -> int:
    stopped = 0
    for seed in range(RUNS):
        test, (stable, candidate) = make(), losses(seed)
        test.observe_many(stable=stable, candidate=candidate)
        stopped += test.decision == "stop"
    return stopped


def at_the_margin(seed: int) -> tuple[Floats, Floats]:
    """The candidate loses 0.1 more on average: 0/1 losses that mostly agree."""
    rng = np.random.default_rng(seed)
    stable = rng.random(PAIR_ROWS) < 0.2
    flipped = rng.random(PAIR_ROWS) < np.where(stable, 0.1, 0.15)
    return stable.astype(np.float64), (stable ^ flipped).astype(np.float64)


def test_a_candidate_at_the_margin_is_rarely_decided_on_either_side() -> None:
    assert stops(lambda: PairedTest(ALPHA, 0.1), at_the_margin) <= MOST
    assert stops(lambda: PairedNonInferiorityTest(0.1, ALPHA), at_the_margin) <= MOST


def rows_until(make: Callable[[], LossTest], runs: int, rows: int, **noise: float) -> Floats:
    found = []
    for seed in range(runs):
        test, (stable, candidate) = make(), brier(seed, rows, **noise)
        test.observe_many(stable=stable, candidate=candidate)
        found.append(math.inf if test.decided_at is None else test.decided_at)
    return np.array(found)


@pytest.mark.parametrize(
    ("noise", "correlation", "most"),
    [
        pytest.param({"shared": 0.3, "stable": 0.3, "candidate": 0.97}, 0.79, 700, id="much alike"),
        pytest.param({"shared": 0.0, "stable": 0.9, "candidate": 1.39}, 0.57, 1_500, id="alike"),
        pytest.param({"shared": 0.0, "stable": 1.6, "candidate": 2.13}, 0.32, 3_000, id="little alike"),
    ],
)
def test_a_model_1_14_times_worse_is_found(noise: dict[str, float], correlation: float, most: int) -> None:
    stable, candidate = brier(0, 200_000, **noise)
    assert candidate.mean() / stable.mean() == pytest.approx(1.14, abs=0.01)
    assert np.corrcoef(stable, candidate)[0, 1] == pytest.approx(correlation, abs=0.02)
    found = rows_until(lambda: PairedTest(ALPHA), 60, 8_000, **noise)
    assert np.median(found) <= most
    assert alarms(found) >= 57


def test_an_equal_model_is_shown_not_to_be_worse() -> None:
    found = rows_until(lambda: PairedNonInferiorityTest(0.02, ALPHA), 60, 8_000, shared=0.3, stable=0.5, candidate=0.5)
    assert np.median(found) <= 1_000
    assert alarms(found) >= 57
