"""The arithmetic of windows, and the figures of one window from its rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.kernel.errors import Invalid
from tidegate.monitors.records import Estimate, Figures
from tidegate.statistics import intervals, metrics
from tidegate.statistics.intervals import Interval

SHORTEST = 60
LONGEST = 366 * 86_400

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Sample(NamedTuple):
    """The rows of a window, one entry each. What a row lacks is NaN or False."""

    answered: Flags
    """Whether the model gave a usable answer."""
    labelled: Flags
    same: Flags
    """Whether the label is the answer."""
    number: Floats
    """The answer as a number."""
    target: Floats
    """The label as a number."""
    score: Floats
    """The probability of the second of two classes."""
    outcome: Floats
    """1 where the label is the second of two classes, 0 where it is the first, NaN elsewhere."""
    positive: Floats
    """1 where the answer is the second of two classes, 0 where it is another one."""
    latency: Floats
    """Microseconds."""


def check_seconds(seconds: int) -> int:
    """The length of a window, if it is one. Raises `Invalid` outside a minute to 366 days."""
    if not SHORTEST <= seconds <= LONGEST:
        raise Invalid(f"a window of {seconds} s is outside {SHORTEST} to {LONGEST} s", field="seconds")
    return seconds


def window_start(at: int, seconds: int) -> int:
    """Where the window that holds an instant begins: a multiple of its length since 1970 (UTC). Microseconds."""
    length = seconds * 1_000_000
    return at // length * length


def figures_of(
    sample: Sample,
    *,
    classification: bool,
    unknown: dict[str, int] | None = None,
    missing: dict[str, int] | None = None,
) -> Figures:
    """The figures of one window; `sample` has at least one row, in any order."""
    judged = sample.labelled & sample.answered
    accuracy = mae = auc = log_loss = brier = None
    if classification:
        accuracy = _share(sample.same[judged])
        scored = judged & np.isfinite(sample.score) & np.isfinite(sample.outcome)
        auc, log_loss, brier = _of_scores(sample.outcome[scored], sample.score[scored])
    else:
        judged &= np.isfinite(sample.number) & np.isfinite(sample.target)
        mae = _mean(metrics.absolute_errors(sample.target[judged], sample.number[judged]))
    felt = sample.latency[np.isfinite(sample.latency)]
    median, slow = np.percentile(felt, [50, 95]) if len(felt) else (np.nan, np.nan)
    answers = sample.score if classification else sample.number
    given = sample.positive[np.isfinite(sample.positive)]
    return Figures(
        predictions=len(sample.labelled),
        failed=int((~sample.answered).sum()),
        labels=int(sample.labelled.sum()),
        unusable=int((sample.labelled & ~judged).sum()),
        accuracy=accuracy,
        auc=auc,
        log_loss=log_loss,
        brier=brier,
        mae=mae,
        score=_mean(answers[sample.answered & np.isfinite(answers)]),
        positives=_share(given == 1.0),
        latency_p50=float(median),
        latency_p95=float(slow),
        unknown=unknown or {},
        missing=missing or {},
    )


def _share(hits: Flags) -> Estimate | None:
    return _estimate(intervals.wilson(int(hits.sum()), len(hits)), len(hits)) if len(hits) else None


def _of_scores(outcome: Floats, score: Floats) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
    """AUC, log loss and Brier score."""
    if not len(outcome):
        return None, None, None
    classes = outcome.astype(np.intp)
    area = metrics.auc(classes, score)
    auc = None
    if not np.isnan(area):
        bounds = intervals.auc_interval(classes, score)
        auc = Estimate(area, bounds.low, bounds.high, len(score))
    losses = metrics.log_losses(classes, np.column_stack((1 - score, score)))
    return auc, _mean(losses), _mean((score - outcome) ** 2)


def _mean(values: Floats) -> Estimate | None:
    if not len(values):
        return None
    interval = intervals.mean(values)
    return _estimate(interval._replace(estimate=float(values.mean())), len(values))


def _estimate(interval: Interval, n: int) -> Estimate:
    return Estimate(interval.estimate, interval.low, interval.high, n)
