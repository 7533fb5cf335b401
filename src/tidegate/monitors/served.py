"""What the answers of an endpoint come to, window by window: mean score, latency, performance."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidegate.monitors import baseline
from tidegate.monitors.drift_records import Kind
from tidegate.monitors.records import Estimate, QualityWindow
from tidegate.statistics.drift import Calibration

Floats = NDArray[np.float64]

FELT: Final = slice(0, 3)
WORTH: Final = slice(3, 4)
STREAMS: Final[tuple[tuple[Kind, str], ...]] = (
    ("prediction", "score"),
    ("latency", "latency_p50"),
    ("latency", "latency_p95"),
    ("quality", "performance"),
)

FEWEST_LABELS = 30

_METRICS = ("auc", "accuracy", "mae")
_WIDTH = 2 * 1.959964
NAN = float("nan")


def metric_of(windows: Sequence[QualityWindow]) -> str:
    """The figure that says most of performance, of those that the windows have; empty where they have none."""
    return next((name for name in _METRICS if any(getattr(each, name) is not None for each in windows)), "")


def values_of(windows: Sequence[QualityWindow], metric: str) -> tuple[Floats, Floats]:
    """The four streams of one window, by its stable variant, and their noise. Performance rises as it gets worse."""
    stable = [each for each in windows if each.variant == "stable"]
    score, score_noise = _together([each.score for each in stable], 2)
    worth, worth_noise = _together([getattr(each, metric) for each in stable] if metric else [], FEWEST_LABELS)
    latencies = [
        _logarithm([getattr(each, name) for each in stable], [each.predictions for each in stable])
        for name in ("latency_p50", "latency_p95")
    ]
    worse = worth if metric == "mae" else -worth
    return np.array([score, *latencies, worse]), np.array([score_noise, 0.0, 0.0, worth_noise])


def calibrate(
    starts: Sequence[datetime], seconds: int, windows: Sequence[Sequence[QualityWindow]], metric: str
) -> Calibration:
    """From the windows of the reference, each by its variants."""
    pairs = [values_of(each, metric) for each in windows]
    values, noise = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    share = 0.02 if metric == "mae" else 0.005
    smallest = np.array([_scale(values[:, 0], 0.01), 0.1, 0.1, _scale(values[:, 3], share)])
    return baseline.calibrate(starts, seconds, values, noise, smallest)


def _scale(values: Floats, share: float) -> float:
    """A share of how large the values are."""
    finite = np.abs(values[np.isfinite(values)])
    return max(share * float(finite.mean()), 1e-9) if len(finite) else 1.0


def _together(estimates: Sequence[Estimate | None], fewest: int) -> tuple[float, float]:
    """The mean over versions, weighted by rows, and its variance."""
    known = [each for each in estimates if each is not None and math.isfinite(each.high - each.low)]
    rows = sum(each.n for each in known)
    if rows < fewest:
        return NAN, NAN
    value = sum(each.n * each.value for each in known) / rows
    return value, sum((each.n / rows * (each.high - each.low) / _WIDTH) ** 2 for each in known)


def _logarithm(latencies: Sequence[float], rows: Sequence[int]) -> float:
    total = sum(rows)
    mean = sum(each * n for each, n in zip(latencies, rows, strict=True)) / total if total else NAN
    return math.log(mean) if mean > 0 else NAN
