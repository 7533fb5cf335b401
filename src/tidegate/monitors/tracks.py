"""Evidence gathered from window to window, and when a stream has returned. Pure."""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.monitors.progress import Track
from tidegate.statistics import drift
from tidegate.statistics.drift import Calibration

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Step(NamedTuple):
    """What a track says after one more window, stream by stream."""

    track: Track
    evidence: Floats
    returned: Flags


def begun(streams: int) -> Track:
    """Nothing seen yet."""
    return Track(state=drift.nothing_yet(streams).tolist())


def advanced(
    calibration: Calibration, track: Track, out: Floats, quiet: int, open_: Flags, *, rises: bool = False
) -> Step:
    """Add a window's deviations to a track. Streams of an open episode gather no evidence.

    A stream has returned when the mean of its last `quiet` deviations is within two standard errors, its own and that
    of the reference's mean.
    """
    state = drift.advance(calibration, np.array(track.state), out)
    evidence = drift.evidence(state, upwards_only=rises)
    state[:, open_] = 0.0
    recent = [*track.recent, out.tolist()][-quiet:]
    means = _means(np.array(recent), quiet)
    room = 2 * np.sqrt(1 / quiet + calibration.parameters / np.maximum(calibration.windows, 1.0))
    away = means > room if rises else np.abs(means) > room
    return Step(Track(state=state.tolist(), recent=recent), evidence, ~away & np.isfinite(means))


def restarted(track: Track, streams: Flags) -> Track:
    """The track with the evidence of some streams thrown away."""
    state = np.array(track.state)
    state[:, streams] = 0.0
    return msgspec.structs.replace(track, state=state.tolist())


def _means(recent: Floats, quiet: int) -> Floats:
    """Means of the last deviations, NaN before there are enough; a window without a stream says nothing of it."""
    if len(recent) < quiet:
        return np.full(recent.shape[1], np.inf)
    there = np.isfinite(recent)
    total = np.where(there, recent, 0.0).sum(axis=0)
    return np.asarray(np.where(there.any(axis=0), total / np.maximum(there.sum(axis=0), 1), 0.0), dtype=np.float64)


def part_of(calibration: Calibration, streams: slice) -> Calibration:
    """The calibration of some of the streams."""
    return Calibration(*(array[..., streams] for array in calibration))
