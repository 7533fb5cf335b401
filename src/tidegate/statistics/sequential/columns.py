"""Columns of rows as the tests take them: checked, of equal length, in blocks."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_BLOCK: Final = 4096
"""So many rows at once keep a million rows from filling the memory with a column a bet."""


def blocks(length: int) -> Iterator[slice]:
    """Consecutive slices that cover so many rows."""
    for start in range(0, length, _BLOCK):
        yield slice(start, min(start + _BLOCK, length))


def flags(values: ArrayLike, name: str) -> Flags:
    """One true or false a row; 1 and 0 stand for them."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} needs one value a row in one dimension, got shape {array.shape}")
    if array.dtype != np.bool_ and not (array.dtype.kind in "iuf" and np.isin(array, (0, 1)).all()) and len(array):
        raise ValueError(f"{name} must be true or false (1 or 0) in every row; leave out rows where it is not known")
    return array.astype(np.bool_, copy=False)


def unit_numbers(values: ArrayLike, name: str) -> Floats:
    """One number in [0, 1] a row."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} needs one number a row in one dimension, got shape {array.shape}")
    wrong = ~((array >= 0) & (array <= 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{name} is {array[row]} in row {row}; a loss must be in [0, 1], as Brier and 0/1 losses are")
    return array


def same_length(**columns: NDArray[Any]) -> None:
    """Refuse columns of unequal length."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("a row needs one value of each: " + ", ".join(f"{n} {name}" for name, n in lengths.items()))
