"""The metrics are those of scikit-learn where both are defined, and say NaN where they are not."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from sklearn import metrics as reference

from tidegate.statistics import metrics

SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("levels", [3, 1_000_000])
def test_auc_equals_scikit_learn_with_and_without_ties(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(500) < 0.3
    scores = rng.integers(0, levels, 500) + positive
    assert metrics.auc(positive, scores) == pytest.approx(reference.roc_auc_score(positive, scores), abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    above = [score for flag, score in rows if flag]
    below = [score for flag, score in rows if not flag]
    pairs = [(a > b) + 0.5 * (a == b) for a in above for b in below]
    found = metrics.auc([flag for flag, _ in rows], [float(score) for _, score in rows])
    assert math.isnan(found) if not pairs else found == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_probabilistic_metrics_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), 400)
    classes = rng.integers(0, 3, 400)
    expected = reference.log_loss(classes, probabilities, labels=[0, 1, 2])
    assert metrics.log_loss(classes, probabilities) == pytest.approx(expected, rel=1e-6)
    positive = classes == 0
    expected = reference.brier_score_loss(positive, probabilities[:, 0])
    assert metrics.brier(positive, probabilities[:, 0]) == pytest.approx(expected)
    guessed = probabilities.argmax(axis=1)
    assert metrics.accuracy(classes, guessed) == pytest.approx(reference.accuracy_score(classes, guessed))


@pytest.mark.parametrize("seed", SEEDS)
def test_regression_metrics_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, predicted = rng.normal(size=300), rng.normal(size=300)
    assert metrics.mae(targets, predicted) == pytest.approx(reference.mean_absolute_error(targets, predicted))
    assert metrics.rmse(targets, predicted) == pytest.approx(reference.root_mean_squared_error(targets, predicted))


def test_one_confident_mistake_costs_a_bounded_loss() -> None:
    assert metrics.log_losses([1], [[1.0, 0.0]])[0] == pytest.approx(23 * math.log(2))


def test_what_rows_do_not_define_is_not_a_number() -> None:
    assert math.isnan(metrics.auc([True, True], [0.1, 0.9]))
    assert math.isnan(metrics.auc([], []))
    assert math.isnan(metrics.accuracy([], []))
    assert math.isnan(metrics.mae([], []))
    assert math.isnan(metrics.log_loss([], np.empty((0, 2))))


def test_text_labels_are_compared_as_they_are() -> None:
    assert metrics.accuracy(["late", "on time"], ["late", "late"]) == 0.5


def test_broken_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="lengths differ"):
        metrics.accuracy([1, 0], [1])
    with pytest.raises(ValueError, match="without NaN"):
        metrics.auc([True, False], [math.nan, 1.0])
    with pytest.raises(ValueError, match="true or false"):
        metrics.auc([2, 0], [0.5, 1.0])
    with pytest.raises(ValueError, match="from 0 to 1"):
        metrics.log_loss([2], [[0.5, 0.5]])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=300), st.integers(0, 1))
def test_the_variance_is_numpys_to_the_bit(values: list[float], less: int) -> None:
    array = np.array(values)
    assert metrics.variance_of(array, len(array) - less) == array.var(ddof=less)
