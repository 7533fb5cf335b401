"""How far two distributions lie apart: PSI, Jensen-Shannon and Kolmogorov-Smirnov, from counts or from values.

A distance from counts depends on the bins that were counted in, on the base of the logarithm, and on what becomes of
an empty bin; `RULE` says which ones hold here, so that a number can be read without asking.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

Floats = NDArray[np.float64]

ZERO_SHARE: Final = 1e-4
"""PSI takes the share of a bin as no smaller: an empty bin would make it infinite."""

BINS: Final = 20

RULE: Final = f"{BINS} bins of equal reference share; natural log for PSI, base 2 for JSD; shares below 1e-4 count so"


class Distances(NamedTuple):
    """The distances of two counts over the same bins, as `psi`, `jsd` and `ks_of_counts` give them."""

    psi: float
    jsd: float
    ks: float


def between(reference: ArrayLike, current: ArrayLike) -> Distances:
    """All distances at once, for the price of little more than one."""
    first, second = _shares(reference, current)
    low, high = np.maximum(first, ZERO_SHARE), np.maximum(second, ZERO_SHARE)
    index = float(((high - low) * np.log(high / low)).sum())
    middle = (first + second) / 2
    divergence = float((rel_entr(first, middle) + rel_entr(second, middle)).sum()) / (2 * math.log(2))
    root = math.sqrt(max(divergence, 0.0)) if divergence == divergence else math.nan
    return Distances(index, root, float(np.abs(np.cumsum(first - second)).max()))


def psi(reference: ArrayLike, current: ArrayLike) -> float:
    """The population stability index of two counts over the same bins: symmetric, 0 where the shares are equal.

    NaN where either has no rows.
    """
    return between(reference, current).psi


def jsd(reference: ArrayLike, current: ArrayLike) -> float:
    """The Jensen-Shannon distance of two counts over the same bins: the root of the divergence, base 2, in [0, 1].

    NaN where either has no rows.
    """
    return between(reference, current).jsd


def ks_of_counts(reference: ArrayLike, current: ArrayLike) -> float:
    """The greatest distance of the two cumulative shares at the upper edges of ordered bins; in [0, 1].

    A lower bound of `ks` of the values that were counted, and equal to it where every value has a bin of its own.
    """
    return between(reference, current).ks


def ks(reference: ArrayLike, current: ArrayLike) -> float:
    """The Kolmogorov-Smirnov statistic of two samples, exactly. NaN where either is empty."""
    first, second = np.sort(_numbers(reference)), np.sort(_numbers(current))
    if not len(first) or not len(second):
        return float("nan")
    every = np.concatenate((first, second))
    below = np.searchsorted(first, every, "right") / len(first) - np.searchsorted(second, every, "right") / len(second)
    return float(np.abs(below).max())


def quantile_edges(values: ArrayLike, bins: int = BINS) -> Floats:
    """Inner edges, increasing, at most `bins - 1`, that cut the values into bins of about equal share.

    A bin holds what is above its lower edge, up to and with its upper one; equal values share a bin.
    """
    array = _numbers(values)
    if not len(array):
        return np.empty(0)
    return np.unique(np.quantile(array, np.arange(1, bins) / bins, method="inverted_cdf"))


def counts_within(edges: ArrayLike, values: ArrayLike) -> NDArray[np.int64]:
    """How many of the values fall into each of the `len(edges) + 1` bins."""
    inner = np.asarray(edges, dtype=np.float64)
    places = np.searchsorted(inner, _numbers(values), "left")
    return np.bincount(places, minlength=len(inner) + 1).astype(np.int64)


def _shares(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    first, second = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"counts need the same bins on both sides, got shapes {first.shape} and {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()) or min(first.min(), second.min()) < 0:
        raise ValueError("counts must be finite and not negative")
    with np.errstate(invalid="ignore"):
        return first / first.sum(), second / second.sum()


def _numbers(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or np.isnan(array).any():
        raise ValueError(f"expected numbers without NaN in one dimension, got shape {array.shape}")
    return array
