"""The figures of a window against numbers worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from tidegate.monitors.rules import Sample, figures_of

NAN = float("nan")


def sample(rows: Sequence[tuple[bool, bool, bool, float, float, float, float, float]]) -> Sample:
    """Rows as the columns of a sample; the answer is the second class from a score of a half on."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    number, target, score, outcome, latency = (column.astype(float) for column in columns[3:])
    positive = np.where(columns[0] & np.isfinite(score), score >= 0.5, NAN)
    answered, labelled, same = columns[:3]
    return Sample(answered, labelled, same, number, target, score, outcome, positive, latency)


def test_two_classes() -> None:
    rows = [
        (True, True, True, NAN, NAN, 0.9, 1.0, 100),
        (True, True, True, NAN, NAN, 0.2, 0.0, 200),
        (True, True, False, NAN, NAN, 0.6, 0.0, 300),
        (True, True, False, NAN, NAN, 0.6, 1.0, 400),
        (True, False, False, NAN, NAN, 0.5, NAN, 500),
        (False, True, False, NAN, NAN, 0.5, 1.0, 600),
    ]
    figures = figures_of(sample(rows), classification=True, unknown={"carrier": 3})
    assert (figures.predictions, figures.labels, figures.failed, figures.unusable) == (6, 5, 1, 1)
    assert figures.accuracy is not None
    assert (figures.accuracy.value, figures.accuracy.n) == (0.5, 4)
    assert figures.accuracy.low < 0.5 < figures.accuracy.high
    assert figures.auc is not None
    assert figures.auc.value == pytest.approx(3.5 / 4)
    assert figures.brier is not None
    assert figures.brier.value == pytest.approx((0.01 + 0.04 + 0.36 + 0.16) / 4)
    assert figures.log_loss is not None
    assert figures.log_loss.value == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.6]).mean())
    assert figures.score is not None
    assert figures.score.value == pytest.approx((0.9 + 0.2 + 0.6 + 0.6 + 0.5) / 5)
    assert figures.positives is not None
    assert (figures.positives.value, figures.positives.n) == (0.8, 5)
    assert figures.mae is None
    assert (figures.latency_p50, figures.latency_p95) == (350, 575)
    assert (figures.unknown, figures.missing) == ({"carrier": 3}, {})


def test_a_regression_leaves_out_what_is_not_finite() -> None:
    rows = [
        (True, True, False, 3.0, 5.0, NAN, NAN, 1),
        (True, True, False, 3.0, NAN, NAN, NAN, 1),
        (True, True, False, 3.0, float("inf"), NAN, NAN, 1),
        (False, True, False, NAN, 5.0, NAN, NAN, 1),
        (True, False, False, 3.0, NAN, NAN, NAN, 1),
    ]
    figures = figures_of(sample(rows), classification=False)
    assert figures.mae is not None
    assert (figures.mae.value, figures.mae.n) == (2.0, 1)
    assert np.isnan(figures.mae.low)
    assert (figures.labels, figures.unusable, figures.failed) == (4, 3, 1)
    assert figures.accuracy is None


def test_without_labels_there_is_no_quality() -> None:
    figures = figures_of(sample([(True, False, False, NAN, NAN, 0.5, NAN, 10)]), classification=True)
    assert (figures.accuracy, figures.auc, figures.log_loss, figures.brier) == (None, None, None, None)
    assert (figures.predictions, figures.labels) == (1, 0)


def test_one_class_only_has_no_auc() -> None:
    rows = [(True, True, True, NAN, NAN, 0.9, 1.0, 1)] * 3
    figures = figures_of(sample(rows), classification=True)
    assert figures.auc is None
    assert figures.accuracy is not None
    assert figures.accuracy.value == 1.0
