"""How good predictions are: each metric as one number, and where it is a mean, a row at a time.

A metric that the rows do not define (no rows, or one class only where two are compared) is NaN, never 0.
Inputs of unequal length and NaN among scores, probabilities or values raise ValueError.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

PROBABILITY_FLOOR: Final = 2.0**-23
"""Log loss takes a probability as no smaller: the resolution of float32, in which models answer."""


def accuracy(labels: ArrayLike, predicted: ArrayLike) -> float:
    """The share of rows whose predicted label is the true one."""
    return mean_of(hits(labels, predicted))


def hits(labels: ArrayLike, predicted: ArrayLike) -> Floats:
    """1 for each row that was predicted right, 0 for the others."""
    true, guessed = np.asarray(labels), np.asarray(predicted)
    _same_length(true, guessed)
    return np.asarray(true == guessed, dtype=np.float64)


def auc(positive: ArrayLike, scores: ArrayLike) -> float:
    """The chance that a positive row has a higher score than a negative one; a tie counts half.

    NaN where one of the classes is absent.
    """
    flags, values = two_classes(positive, scores)
    return area_of(flags, midranks(values))


def two_classes(positive: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """The rows as arrays, checked."""
    flags, values = _binary(positive), _numbers(scores)
    _same_length(flags, values)
    return flags, values


def area_of(flags: NDArray[np.bool_], ranks: Floats) -> float:
    """`auc` of rows whose scores have these midranks."""
    positives = int(np.count_nonzero(flags))
    negatives = len(flags) - positives
    if not positives or not negatives:
        return float("nan")
    return float((ranks[flags].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def log_loss(classes: ArrayLike, probabilities: ArrayLike) -> float:
    """The mean of `log_losses`, in nats."""
    return mean_of(log_losses(classes, probabilities))


def log_losses(classes: ArrayLike, probabilities: ArrayLike) -> Floats:
    """Minus the logarithm of the probability that each row's true class was given.

    `classes`: the index of the true class, shape (n,). `probabilities`: shape (n, classes); a probability below
    `PROBABILITY_FLOOR` counts as that, so one confident mistake costs at most 15.9.
    """
    true, chances = np.asarray(classes, dtype=np.intp), _numbers(probabilities, dimensions=2)
    _same_length(true, chances)
    if len(true) and (true.min() < 0 or true.max() >= chances.shape[1]):
        raise ValueError(f"classes must be from 0 to {chances.shape[1] - 1}")
    given = chances[np.arange(len(true)), true]
    return np.asarray(-np.log(np.clip(given, PROBABILITY_FLOOR, 1.0)), dtype=np.float64)


def brier(positive: ArrayLike, probabilities: ArrayLike) -> float:
    """The mean squared distance of the positive class's probability from what happened, 0 or 1."""
    flags, chances = _binary(positive), _numbers(probabilities)
    _same_length(flags, chances)
    return mean_of((chances - flags) ** 2)


def mae(targets: ArrayLike, predicted: ArrayLike) -> float:
    """The mean of `absolute_errors`."""
    return mean_of(absolute_errors(targets, predicted))


def rmse(targets: ArrayLike, predicted: ArrayLike) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(mean_of(absolute_errors(targets, predicted) ** 2)))


def absolute_errors(targets: ArrayLike, predicted: ArrayLike) -> Floats:
    """The distance of each prediction from its target."""
    true, guessed = _numbers(targets), _numbers(predicted)
    _same_length(true, guessed)
    return np.abs(true - guessed)


def midranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs."""
    order = values.argsort()
    ordered = values[order]
    edges = np.ones(len(values) + 1, dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=edges[1:-1])
    bounds = np.flatnonzero(edges)
    ranks = np.empty(len(values), dtype=np.float64)
    ranks[order] = ((bounds[:-1] + bounds[1:] + 1) / 2).repeat(np.diff(bounds))
    return ranks


def mean_of(values: Floats) -> float:
    """The mean, NaN where there are no values."""
    return float(values.mean()) if len(values) else float("nan")


def variance_of(values: Floats, freedom: int) -> float:
    """The squared distances from the mean, added up, over `freedom`: `numpy.var` to the bit, in a third of its time."""
    away = values - values.sum() / len(values)
    return float((away * away).sum() / freedom)


def _binary(flags: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(flags)
    if array.ndim != 1 or (array.dtype.kind != "b" and not np.isin(array, (0, 1)).all()):
        raise ValueError("expected one true or false (1 or 0) a row")
    return array.astype(np.bool_)


def _numbers(values: ArrayLike, dimensions: int = 1) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or np.isnan(array).any():
        raise ValueError(f"expected numbers without NaN in {dimensions} dimension(s), got shape {array.shape}")
    return array


def _same_length(first: NDArray[Any], second: NDArray[Any]) -> None:
    if len(first) != len(second):
        raise ValueError(f"lengths differ: {len(first)} and {len(second)}")
