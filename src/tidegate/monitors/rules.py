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


class Worth(NamedTuple):
    """What answers were worth; the fields mean what those of `Figures` do."""

    unusable: int
    accuracy: Estimate | None
    auc: Estimate | None
    brier: Estimate | None
    mae: Estimate | None
    score: Estimate | None


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
    worth, log_loss = worth_of(sample, classification=classification), None
    if classification:
        outcome, score = _scored(sample)
        log_loss = _mean(metrics.log_losses(outcome.astype(np.intp), np.column_stack((1 - score, score))))
    felt = sample.latency[np.isfinite(sample.latency)]
    median, slow = np.percentile(felt, [50, 95]) if len(felt) else (np.nan, np.nan)
    given = sample.positive[np.isfinite(sample.positive)]
    return Figures(
        predictions=len(sample.labelled),
        failed=int((~sample.answered).sum()),
        labels=int(sample.labelled.sum()),
        unusable=worth.unusable,
        accuracy=worth.accuracy,
        auc=worth.auc,
        log_loss=log_loss,
        brier=worth.brier,
        mae=worth.mae,
        score=worth.score,
        positives=_share(given == 1.0),
        latency_p50=float(median),
        latency_p95=float(slow),
        unknown=unknown or {},
        missing=missing or {},
    )


def worth_of(sample: Sample, *, classification: bool) -> Worth:
    """The part of the figures that segments have too."""
    judged = sample.labelled & sample.answered
    accuracy = auc = brier = mae = None
    if classification:
        accuracy = _share(sample.same[judged])
        outcome, score = _scored(sample)
        auc, brier = _area(outcome == 1.0, score), _mean((score - outcome) ** 2)
    else:
        judged &= np.isfinite(sample.number) & np.isfinite(sample.target)
        mae = _mean(metrics.absolute_errors(sample.target[judged], sample.number[judged]))
    answers = sample.score if classification else sample.number
    return Worth(
        unusable=int((sample.labelled & ~judged).sum()),
        accuracy=accuracy,
        auc=auc,
        brier=brier,
        mae=mae,
        score=_mean(answers[sample.answered & np.isfinite(answers)]),
    )


def _scored(sample: Sample) -> tuple[Floats, Floats]:
    """Outcome and score of the rows that have both."""
    both = sample.labelled & sample.answered & np.isfinite(sample.score) & np.isfinite(sample.outcome)
    return sample.outcome[both], sample.score[both]


def _area(positive: Flags, score: Floats) -> Estimate | None:
    if not positive.any() or positive.all():
        return None
    bounds = intervals.auc_interval(positive, score)
    # With one row of a class there is an area, and no interval.
    area = metrics.auc(positive, score) if np.isnan(bounds.estimate) else bounds.estimate
    return Estimate(area, bounds.low, bounds.high, len(score))


def _share(hits: Flags) -> Estimate | None:
    return _estimate(intervals.wilson(int(hits.sum()), len(hits)), len(hits)) if len(hits) else None


def _mean(values: Floats) -> Estimate | None:
    if not len(values):
        return None
    interval = intervals.mean(values)
    if len(values) == 1:
        interval = interval._replace(estimate=float(values[0]))
    return _estimate(interval, len(values))


def _estimate(interval: Interval, n: int) -> Estimate:
    return Estimate(interval.estimate, interval.low, interval.high, n)
