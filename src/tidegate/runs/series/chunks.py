"""How the points of a sealed chunk are coded: by columns, as differences, each byte of their words beside its likes.

A blob is the version, the number of points, one bit for each of the 24 planes (8 bytes of 3 columns) that is not all
zeros, and those planes deflated. Steps are differences of differences, which are zeros where steps are regular; times
are differences; values are as they are (see `rank_of`).

Laws:

1. Decoding gives the columns that were encoded, exactly.
2. A blob that is not whole is refused.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tidegate.kernel.errors import Internal
from tidegate.runs.series.points import NAN_RANK, Extreme, Point, Summary

Integers = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BII")
_MAGNITUDE: Final = np.int64(2**63 - 1)
_WORD: Final = 8
_LEVEL: Final = 1  # the planes that deflate shrinks at all, it shrinks as well at once


class Columns(NamedTuple):
    """Points by columns, of one length; sorted where nothing else is said."""

    steps: Integers
    ats: Integers
    ranks: Integers


def columns_of(points: Iterable[tuple[int, int, int]]) -> Columns:
    """Points as columns, in the order given."""
    columns = list(zip(*points, strict=True)) or [(), (), ()]
    return Columns(*(np.array(column, dtype=np.int64) for column in columns))


def values_of(ranks: Integers) -> list[float]:
    """The values that ranks stand for, as `value_of` tells them one by one."""
    bits = np.where(ranks < 0, ranks ^ _MAGNITUDE, ranks)
    values: list[float] = np.where(ranks == NAN_RANK, np.nan, bits.view(np.float64)).tolist()
    return values


def points_of(columns: Columns) -> list[Point]:
    """Columns as points."""
    return list(map(Point, *(column.tolist() for column in columns)))


def joined(parts: Iterable[Columns]) -> Columns:
    """Sorted parts as one, sorted; none of them are the same point."""
    parts = [part for part in parts if len(part.steps)]
    if not parts:
        return columns_of(())
    whole = Columns(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    ends = [(_first(part), _last(part)) for part in parts]
    if all(one[1] < other[0] for one, other in pairwise(ends)):
        return whole
    order = np.lexsort((whole.ranks, whole.ats, whole.steps))
    return Columns(*(column[order] for column in whole))


def part_of(columns: Columns, start: int, end: int) -> Columns:
    """The points from one place to before another."""
    return Columns(*(column[start:end] for column in columns))


def by_time(parts: Iterable[Columns], after: Point | None) -> Columns:
    """Points in the order of time, step, value; those after one in that order."""
    columns = Columns(*map(np.concatenate, zip(*parts, strict=True)))
    if not bool((columns.ats[1:] > columns.ats[:-1]).all()):  # as a rule they are: whoever goes on counts on, too
        columns = picked(columns, np.lexsort((columns.ranks, columns.steps, columns.ats)))
    if after is None:
        return columns
    steps, ats, ranks = columns
    same_at, same_step = ats == after.at, steps == after.step
    later = (ats > after.at) | (same_at & ((steps > after.step) | (same_step & (ranks > after.rank))))
    return Columns(*(column[later] for column in columns))


def stretches(size: int, count: int) -> Integers:
    """Where so many stretches of a row begin, the first ones longer by one; in the place of the last one, its end."""
    count = min(count, size)
    short, longer = divmod(size, max(count, 1))
    places = np.arange(count, dtype=np.int64)
    begins = places * short + np.minimum(places, longer)
    begins[-1:] = size - 1
    return begins


def within(columns: Columns, start: int, end: int) -> Columns:
    """The points whose steps lie between two, both included."""
    kept = (columns.steps >= start) & (columns.steps <= end)
    return columns if bool(kept.all()) else Columns(*(column[kept] for column in columns))


def picked(columns: Columns, places: Integers) -> Columns:
    """The points at some places."""
    return Columns(*(column[places] for column in columns))


def point_at(columns: Columns, place: int) -> Point:
    """One of the points."""
    return Point(*(int(column[place]) for column in columns))


def summary_of_columns(columns: Columns) -> Summary:
    """The summary of sorted points, at least one."""
    ranks = columns.ranks
    nan_count = int(np.count_nonzero(ranks == NAN_RANK))
    least = greatest = None
    if nan_count < len(ranks):
        # In order of steps, the first place of an extreme has its least step.
        numbers = ranks if nan_count == 0 else np.where(ranks == NAN_RANK, np.iinfo(np.int64).max, ranks)
        low, high = int(numbers.argmin()), int(ranks.argmax())
        least = Extreme(int(ranks[low]), int(columns.steps[low]))
        greatest = Extreme(int(ranks[high]), int(columns.steps[high]))
    return Summary(len(ranks), nan_count, _first(columns), _last(columns), least, greatest)


def encoded(columns: Columns) -> bytes:
    """Columns as a blob."""
    words = (
        _folded(_differences(_differences(columns.steps.view(np.uint64)))),
        _folded(_differences(columns.ats.view(np.uint64))),
        columns.ranks.view(np.uint64),
    )
    kept, mask = [], 0
    for place, plane in enumerate(plane for column in words for plane in _planes(column)):
        if plane.any():
            mask |= 1 << place
            kept.append(plane.tobytes())
    return _HEAD.pack(_VERSION, len(columns.steps), mask) + zlib.compress(b"".join(kept), _LEVEL)


def decoded(blobs: Sequence[bytes]) -> Columns:
    """The columns of blobs, one after the other. Raises `Internal` when one is damaged."""
    read = [_read(blob) for blob in blobs]
    counts = np.array([count for count, _, _ in read], dtype=np.int64)
    ends = np.add.accumulate(counts)
    size = int(ends[-1]) if len(read) else 0
    words = np.zeros((3, size, _WORD), dtype=np.uint8)
    planes = words.transpose(0, 2, 1)
    for (count, places, kept), end in zip(read, ends.tolist(), strict=True):
        planes[*places, end - count : end] = kept
    steps, ats, ranks = words.view("<u8")[:, :, 0]
    steps = _summed(_summed(_unfolded(steps), ends, counts), ends, counts)
    ats = _summed(_unfolded(ats), ends, counts)
    return Columns(steps.view(np.int64), ats.view(np.int64), ranks.view(np.int64))


def _read(blob: bytes) -> tuple[int, tuple[Integers, Integers], npt.NDArray[np.uint8]]:
    """How many points a blob has, where its planes belong, and those."""
    try:
        version, count, mask = _HEAD.unpack_from(blob)
        raw = zlib.decompress(memoryview(blob)[_HEAD.size :])
    except (struct.error, zlib.error) as error:
        raise Internal(f"a chunk of metrics is damaged: {error}") from error
    places = _places(mask)
    if version != _VERSION or len(raw) != count * len(places[0]):
        raise Internal(f"a chunk of metrics has version {version} and {len(raw)} bytes for {count} points")
    return count, places, np.frombuffer(raw, dtype=np.uint8).reshape(len(places[0]), count)


@lru_cache(1024)
def _places(mask: int) -> tuple[Integers, Integers]:
    """The columns of the planes that a blob holds, and their bytes there."""
    columns, bytes_ = np.divmod(np.flatnonzero([mask >> place & 1 for place in range(3 * _WORD)]), _WORD)
    return columns, bytes_


def _planes(words: _Words) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(words, dtype="<u8").view(np.uint8).reshape(-1, _WORD).T


def _differences(words: _Words) -> _Words:
    found = words.copy()
    found[1:] -= words[:-1]  # wraps around, and back again in `_summed`
    return found


def _summed(words: _Words, ends: Integers, counts: Integers) -> _Words:
    """The sums within each blob."""
    sums: _Words = np.add.accumulate(words)
    before = np.concatenate([np.zeros(1, dtype=np.uint64), sums[ends[:-1] - 1]])
    sums -= np.repeat(before[: len(counts)], counts)
    return sums


def _folded(words: _Words) -> _Words:
    """Differences of either sign as small words."""
    signed = words.view(np.int64)
    return ((signed << 1) ^ (signed >> 63)).view(np.uint64)


def _unfolded(words: _Words) -> _Words:
    signs: _Words = np.negative(words & np.uint64(1))  # all ones for a negative difference
    return (words >> np.uint64(1)) ^ signs


def _first(columns: Columns) -> Point:
    return Point(int(columns.steps[0]), int(columns.ats[0]), int(columns.ranks[0]))


def _last(columns: Columns) -> Point:
    return Point(int(columns.steps[-1]), int(columns.ats[-1]), int(columns.ranks[-1]))
