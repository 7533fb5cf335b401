"""The reference of an endpoint as the detector needs it: each column described, each stream calibrated."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.monitors import columns
from tidegate.monitors.columns import ColumnReference, Measured
from tidegate.monitors.drift_records import ColumnType
from tidegate.monitors.records import DAY
from tidegate.statistics import drift
from tidegate.statistics.drift import Calibration

Floats = NDArray[np.float64]

MOST_ROWS = 20_000
"""So many rows of a reference window are looked at, evenly spread over it."""


class Stream(NamedTuple):
    """One figure of one column."""

    column: str
    figure: str


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns of the inputs were like."""

    told: str
    """What the reference is, in words."""
    seconds: int
    columns: list[ColumnReference]
    calibration: list[list[Any]]
    """The arrays of `Calibration`, as lists."""

    def streams(self) -> list[Stream]:
        """In the order of the calibration."""
        return [Stream(each.column, figure) for each in self.columns for figure in columns.streams_of(each)]

    def types(self) -> dict[str, ColumnType]:
        """Of each column."""
        return {each.column: each.type for each in self.columns}

    def calibrated(self) -> Calibration:
        """The calibration as arrays."""
        return unpacked_calibration(self.calibration)

    def measure(self, values: pl.DataFrame) -> list[Measured]:
        """Each column of a window (`columns.typed` as `types` says)."""
        return [columns.measured(each, values[each.column]) for each in self.columns]


def build(told: str, seconds: int, windows: Sequence[tuple[datetime, pl.DataFrame]]) -> Baseline:
    """The baseline of reference windows in order, each with its start and its inputs as columns."""
    frames = [_thinned(frame) for _, frame in windows]
    pooled = pl.concat(frames, how="diagonal_relaxed")
    types = columns.types_of(pooled)
    parts = [columns.typed(frame, {name: types[name] for name in types if name in frame.columns}) for frame in frames]
    described = [
        columns.described(name, kind, [part[name] for part in parts if name in part.columns])
        for name, kind in types.items()
    ]
    measured = [_streams_of(described, part, place) for place, part in enumerate(parts)]
    values, noise = (np.array([each[side] for each in measured]) for side in (0, 1))
    smallest = np.array([columns.smallest(each, figure) for each in described for figure in columns.streams_of(each)])
    calibration = calibrate([start for start, _ in windows], seconds, values, noise, smallest)
    return Baseline(told=told, seconds=seconds, columns=described, calibration=packed_calibration(calibration))


def calibrate(
    starts: Sequence[datetime], seconds: int, values: Floats, noise: Floats, smallest: float | Floats = drift.SMALLEST
) -> Calibration:
    """`drift.calibrate`, with the weekday as the season of windows of a day."""
    if seconds != DAY:
        return drift.calibrate(values, noise, smallest=smallest)
    seasons = np.array([season_of(start, seconds) for start in starts], dtype=np.intp)
    return drift.calibrate(values, noise, seasons, 7, smallest)


def season_of(start: datetime, seconds: int) -> int:
    """The season of a window."""
    return start.weekday() if seconds == DAY else 0


def packed_calibration(calibration: Calibration) -> list[list[Any]]:
    """As plain lists."""
    return [array.tolist() for array in calibration]


def unpacked_calibration(lists: list[list[Any]]) -> Calibration:
    """What `packed_calibration` packed."""
    return Calibration(*(np.array(each, dtype=np.float64) for each in lists))


def _streams_of(described: list[ColumnReference], part: pl.DataFrame, place: int) -> tuple[list[float], list[float]]:
    values: list[float] = []
    noise: list[float] = []
    for each in described:
        if each.column in part.columns:
            found, own = columns.streams_in(each, part[each.column])
            streams = dict(zip(columns.streams_of(each), found, strict=True))
            if "unseen" in streams and not each.others:
                # its own values made the list: what counts is what the other windows have not seen
                streams["unseen"] = columns.turned(each.novel[place])
            values += streams.values()
            noise += own
        else:
            absent = [float("nan")] * len(columns.streams_of(each))
            values += absent
            noise += absent
    return values, noise


def _thinned(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.gather_every(-(-frame.height // MOST_ROWS)) if frame.height > MOST_ROWS else frame
