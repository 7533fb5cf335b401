"""How far an estimate may be from the truth: confidence intervals for proportions, means, AUC and paired differences.

All are two-sided; `confidence` is the share of samples in which the interval holds the truth. Rows must be independent.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidegate.statistics.metrics import two_classes, variance_of

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate and its bounds; all three are NaN where the rows do not define it."""

    estimate: float
    low: float
    high: float


UNDEFINED = Interval(float("nan"), float("nan"), float("nan"))


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """A proportion, by Wilson's score method: sound also near 0 and 1 and for few rows."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} are not possible")
    if not n:
        return UNDEFINED
    z = _z(confidence)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes == 0 else max(0.0, float(centre - half))
    high = 1.0 if successes == n else min(1.0, float(centre + half))
    return Interval(share, low, high)


def mean(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """A mean, by Student's t. Undefined for fewer than two values."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("expected finite numbers in one dimension")
    if len(array) < 2:
        return UNDEFINED
    from scipy.special import stdtrit

    centre = float(array.sum() / len(array))
    t = float(stdtrit(len(array) - 1, 0.5 + _checked(confidence) / 2))
    half = t * math.sqrt(variance_of(array, len(array) - 1)) / math.sqrt(len(array))
    return Interval(centre, centre - half, centre + half)


def mean_difference(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of `first` minus mean of `second`, paired row by row, by Student's t."""
    return mean(_paired(first, second), confidence)


def proportion_difference(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Interval:
    """Share of true in `first` minus share in `second`, paired row by row, by Agresti and Min's method.

    It adds half a row to each cell: the bounds keep a width where the two never differ, which the plain formula would
    call certainty.
    """
    differences = _paired(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    if not np.isin(differences, (-1, 0, 1)).all():
        raise ValueError("expected true or false (1 or 0) a row")
    n = len(differences)
    if not n:
        return UNDEFINED
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    centre = (gained - lost) / (n + 2)
    spread = np.sqrt(gained + lost + 1 - (gained - lost) ** 2 / (n + 2)) / (n + 2)
    half = _z(confidence) * float(spread)
    return Interval((gained - lost) / n, max(-1.0, centre - half), min(1.0, centre + half))


def auc_interval(positive: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> Interval:
    """The area under the ROC curve, by DeLong's variance on the logit scale.

    Where the classes are separated without an error that variance is zero; then the bound is the one for as many
    disjoint pairs, all in the right order, as the smaller class has rows.
    """
    parts = _components(positive, scores)
    if parts is None:
        return UNDEFINED
    area, of_positives, of_negatives = parts
    fewest = min(len(of_positives), len(of_negatives))
    if area in (0.0, 1.0):
        bound = ((1 - _checked(confidence)) / 2) ** (1 / fewest)
        return Interval(area, bound, 1.0) if area == 1.0 else Interval(area, 0.0, 1 - bound)
    if fewest < 2:
        return UNDEFINED
    variance = _variance_of_mean(of_positives) + _variance_of_mean(of_negatives)
    half = _z(confidence) * float(np.sqrt(variance)) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    return Interval(area, float(1 / (1 + np.exp(half - logit))), float(1 / (1 + np.exp(-half - logit))))


def auc_difference(positive: ArrayLike, first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Interval:
    """AUC of `first` minus AUC of `second` on the same rows, by DeLong's paired variance.

    Undefined with fewer than two rows of a class. Two scores that order all rows alike give a width of zero.
    """
    one, two = _components(positive, first), _components(positive, second)
    if one is None or two is None or min(len(one[1]), len(one[2])) < 2:
        return UNDEFINED
    of_positives, of_negatives = one[1] - two[1], one[2] - two[2]
    variance = _variance_of_mean(of_positives) + _variance_of_mean(of_negatives)
    half = _z(confidence) * float(np.sqrt(variance))
    difference = one[0] - two[0]
    return Interval(difference, max(-1.0, difference - half), min(1.0, difference + half))


def _components(positive: ArrayLike, scores: ArrayLike) -> tuple[float, Floats, Floats] | None:
    """AUC, and each row's share of the other class that it is ordered rightly against, a tie counting half."""
    flags, values = two_classes(positive, scores)
    above, below = values[flags], values[~flags]
    if not len(above) or not len(below):
        return None
    up, down = above.argsort(), below.argsort()
    wins, losses = np.empty(len(above)), np.empty(len(below))
    wins[up] = _under(above[up], below[down])
    losses[down] = _under(below[down], above[up])
    return float(wins.sum() / (len(above) * len(below))), wins / len(below), 1 - losses / len(above)


def _under(values: Floats, others: Floats) -> Floats:
    """How many of the others are smaller than each value, half of those that are equal with them. Both are sorted."""
    both = others.searchsorted(values, "left") + others.searchsorted(values, "right")
    return np.asarray(both / 2, dtype=np.float64)


def _variance_of_mean(values: Floats) -> float:
    return variance_of(values, len(values) - 1) / len(values)


def _paired(first: ArrayLike, second: ArrayLike) -> Floats:
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape or one.ndim != 1:
        raise ValueError(f"pairs need one value a row on both sides, got shapes {one.shape} and {two.shape}")
    return one - two


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + _checked(confidence) / 2)


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    return confidence
