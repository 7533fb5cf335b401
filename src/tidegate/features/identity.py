"""Which row is which: a number for the whole content of a row, the same for one row and for a column of a million.

A row that is there twice in all its columns is one event, whether a dataset holds it twice, or it was pushed again.
"""

from collections.abc import Sequence
from typing import Any, Final

import blake3
import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_GOLDEN: Final = np.array(0x9E3779B97F4A7C15, np.uint64)
_SHIFTS: Final = tuple(np.array(bits, np.uint64) for bits in (30, 27, 31))  # numpy takes arrays faster than numbers
_FACTORS: Final = tuple(np.array(one, np.uint64) for one in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_NOTHING: Final = np.array(0x6A09E667F3BCC909, np.uint64)
"""Stands for null."""


def identify(columns: Sequence[Words]) -> Words:
    """A number for each row, from those of its columns in order."""
    state = np.zeros(len(columns[0]) if columns else 0, np.uint64)
    for words in columns:
        state = _mix((state ^ words) + _GOLDEN)
    return state


def words_of_numbers(data: NDArray[Any], present: NDArray[np.bool_]) -> Words:
    """Of integers, floats, booleans. Floats that are not finite count as null, and -0 as 0."""
    if data.dtype == np.float64:
        present = present & np.isfinite(data)
        words = (np.where(present, data, 0.0) + 0.0).view(np.uint64)
    else:
        words = data.astype(np.int64).view(np.uint64)
    return np.where(present, _mix(words), _NOTHING)


def words_of_texts(texts: Sequence[str | None]) -> Words:
    """Of texts; each distinct one is hashed once."""
    known: dict[str | None, int] = {
        text: int.from_bytes(blake3.blake3(text.encode()).digest(length=8), "little")
        for text in set(texts)
        if text is not None
    }
    known[None] = int(_NOTHING)
    return np.fromiter(map(known.__getitem__, texts), np.uint64, len(texts))


def _mix(words: Words) -> Words:
    """Every bit of the input moves every bit of the output."""
    words = (words ^ (words >> _SHIFTS[0])) * _FACTORS[0]
    words ^= words >> _SHIFTS[1]
    words *= _FACTORS[1]
    words ^= words >> _SHIFTS[2]
    return words
