"""Intervals hold the truth as often as they say: exact formulas against scipy, coverage by seeded simulation."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tidegate.statistics import intervals
from tidegate.statistics.intervals import Interval

TRIALS = 800
LOWEST, HIGHEST = stats.binom.ppf([0.0005, 0.9995], TRIALS, 0.95)
"""Between these many hits of 800 a true 95 % interval stays in 999 of 1000 runs."""


def hits(truth: float, sample: Callable[[np.random.Generator], Interval], seed: int = 7) -> int:
    rng = np.random.default_rng(seed)
    found = [sample(rng) for _ in range(TRIALS)]
    return sum(interval.low <= truth <= interval.high for interval in found)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (1, 3), (37, 200), (999, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_wilson_equals_scipy(successes: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    found = intervals.wilson(successes, n, confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_mean_equals_scipy() -> None:
    values = np.random.default_rng(3).normal(2, 5, 40)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = intervals.mean(values, 0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_paired_mean_difference_equals_scipy() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(0, 1, 30), rng.normal(1, 1, 30)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = intervals.mean_difference(first, second)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_delong_variance_equals_the_quadratic_definition() -> None:
    rng = np.random.default_rng(5)
    positive = rng.random(60) < 0.4
    first, second = rng.integers(0, 6, 60) + positive, rng.integers(0, 6, 60) + 2 * positive

    def placements(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
        return pairs.mean(axis=1), pairs.mean(axis=0)

    one, two = placements(first), placements(second)
    variance = sum(np.var(a - b, ddof=1) / len(a) for a, b in zip(one, two, strict=True))
    found = intervals.auc_difference(positive, first.astype(float), second.astype(float))
    assert found.estimate == pytest.approx(one[0].mean() - two[0].mean())
    assert found.high - found.estimate == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(variance))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_wilson_coverage(share: float) -> None:
    exact = sum(stats.binom.pmf(k, 200, share) for k in range(201) if _holds(intervals.wilson(k, 200), share))
    assert 0.92 < exact < 0.985


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("n", [200, 1000])
def test_auc_coverage(distance: float, n: int) -> None:
    truth = stats.norm.cdf(distance / math.sqrt(2))

    def sample(rng: np.random.Generator) -> Interval:
        positive = np.arange(n) < n * 0.3
        return intervals.auc_interval(positive, rng.normal(size=n) + distance * positive)

    assert LOWEST - 8 <= hits(truth, sample) <= HIGHEST


def test_paired_auc_difference_coverage() -> None:
    truth = stats.norm.cdf(1.0 / math.sqrt(2)) - stats.norm.cdf(0.7 / math.sqrt(2))

    def sample(rng: np.random.Generator) -> Interval:
        positive = np.arange(400) < 150
        shared = rng.normal(size=400)
        first = 0.8 * shared + 0.6 * rng.normal(size=400) + 1.0 * positive
        second = 0.8 * shared + 0.6 * rng.normal(size=400) + 0.7 * positive
        return intervals.auc_difference(positive, first, second)

    assert LOWEST <= hits(truth, sample) <= HIGHEST


@pytest.mark.parametrize(("gained", "lost"), [(0.05, 0.05), (0.02, 0.03), (0.1, 0.02)])
def test_paired_proportion_difference_coverage(gained: float, lost: float) -> None:
    def sample(rng: np.random.Generator) -> Interval:
        draw = rng.random(300)
        first, second = draw < 0.7 + gained, (draw < 0.7) | (draw > 1 - lost)
        return intervals.proportion_difference(first, second)

    assert hits(gained - lost, sample) >= LOWEST


def test_mean_difference_coverage_on_skewed_losses() -> None:
    def sample(rng: np.random.Generator) -> Interval:
        shared = rng.exponential(size=300)
        return intervals.mean_difference(shared * rng.uniform(0.5, 1.5, 300), shared)

    assert LOWEST - 8 <= hits(0.0, sample) <= HIGHEST


def test_models_that_never_differ_are_not_called_certainly_equal() -> None:
    same = np.ones(200, dtype=bool)
    found = intervals.proportion_difference(same, same)
    assert found.estimate == 0
    assert -0.012 < found.low < -0.008
    assert found.high == -found.low


def test_a_perfect_auc_keeps_a_lower_bound() -> None:
    found = intervals.auc_interval([True] * 30 + [False] * 90, np.arange(120)[::-1].astype(float))
    assert found.estimate == found.high == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 30))
    worst = intervals.auc_interval([True] * 30 + [False] * 90, np.arange(120).astype(float))
    assert (worst.low, worst.high) == pytest.approx((0.0, 1 - found.low))


def test_what_rows_do_not_define_is_not_a_number() -> None:
    for found in (
        intervals.wilson(0, 0),
        intervals.mean([1.0]),
        intervals.proportion_difference([], []),
        intervals.auc_interval([True, True], [0.1, 0.2]),
        intervals.auc_difference([True, False], [0.1, 0.2], [0.2, 0.1]),
    ):
        assert all(math.isnan(part) for part in found)


def test_broken_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        intervals.wilson(1, 2, 1.0)
    with pytest.raises(ValueError, match="not possible"):
        intervals.wilson(3, 2)
    with pytest.raises(ValueError, match="pairs"):
        intervals.mean_difference([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        intervals.mean([1.0, math.inf])
