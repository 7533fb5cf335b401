"""Distances against SciPy's, and what they must keep whatever the counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from tidegate.statistics import distances

counts = st.lists(st.integers(0, 1000), min_size=2, max_size=30).filter(any)
values = st.lists(st.floats(-5, 5).map(lambda value: round(value, 1)), min_size=1, max_size=60)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of SciPy's p-value, which is not asked for
@settings(max_examples=100, deadline=None)
@given(values, values)
def test_ks_is_that_of_scipy(first: list[float], second: list[float]) -> None:
    assert distances.ks(first, second) == pytest.approx(stats.ks_2samp(first, second).statistic)


@settings(max_examples=100, deadline=None)
@given(counts, st.integers(0, 2**32))
def test_jsd_is_that_of_scipy(reference: list[int], seed: int) -> None:
    current = np.random.default_rng(seed).integers(1, 1000, len(reference))
    # SciPy takes the root of a difference of rounded sums where two are equal; ours is zero there
    assert distances.jsd(reference, current) == pytest.approx(jensenshannon(reference, current, base=2), abs=1e-7)


@given(counts, st.integers(1, 1000))
def test_equal_shares_have_no_distance(reference: list[int], times: int) -> None:
    scaled = [times * count for count in reference]
    assert distances.psi(reference, scaled) == pytest.approx(0, abs=1e-9)
    assert distances.jsd(reference, scaled) == pytest.approx(0, abs=1e-7)
    assert distances.ks_of_counts(reference, scaled) == pytest.approx(0, abs=1e-9)


def test_psi_worked_out_by_hand() -> None:
    expected = (0.2 - 0.5) * math.log(0.2 / 0.5) + (0.8 - 0.5) * math.log(0.8 / 0.5)
    assert distances.psi([50, 50], [2, 8]) == pytest.approx(expected)


def test_an_empty_bin_counts_as_the_zero_share() -> None:
    expected = (1e-4 - 0.5) * math.log(1e-4 / 0.5) + 0.5 * math.log(1 / 0.5)
    assert distances.psi([1, 1], [0, 1]) == pytest.approx(expected)


def test_bins_of_the_reference_hold_equal_shares() -> None:
    sample = np.random.default_rng(1).lognormal(size=20_000)
    edges = distances.quantile_edges(sample)
    found = distances.counts_within(edges, sample)
    assert len(found) == distances.BINS
    assert found.sum() == len(sample)
    assert np.abs(found - len(sample) / distances.BINS).max() <= 1


def test_ks_of_counts_approaches_ks_from_below() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=20_000), rng.normal(0.2, size=20_000)
    edges = distances.quantile_edges(first, 256)
    binned = distances.ks_of_counts(distances.counts_within(edges, first), distances.counts_within(edges, second))
    exact = distances.ks(first, second)
    assert binned <= exact
    assert binned == pytest.approx(exact, abs=0.005)


def test_nothing_has_no_distance_and_nonsense_is_refused() -> None:
    assert math.isnan(distances.psi([1, 1], [0, 0]))
    assert math.isnan(distances.jsd([1, 1], [0, 0]))
    assert math.isnan(distances.ks([], [1.0]))
    with pytest.raises(ValueError, match="same bins"):
        distances.psi([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="negative"):
        distances.jsd([1, 2], [1, -1])
    with pytest.raises(ValueError, match="NaN"):
        distances.ks([float("nan")], [1.0])
