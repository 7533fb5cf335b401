"""How far the drift controller has come with an endpoint: all that it knows from one step to the next."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.monitors.drift_records import DriftSettings, Episode
from tidegate.statistics import drift
from tidegate.statistics.drift import Calibration

Floats = NDArray[np.float64]

LONGEST_QUIET = 30


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """The detector's state of some streams, and their newest deviations."""

    state: list[list[float]]
    recent: list[list[float]] = []

    @staticmethod
    def new(streams: int) -> "Track":
        """Nothing seen yet."""
        return Track(state=drift.nothing_yet(streams).tolist())


class Step(NamedTuple):
    """What a track says after one more window, stream by stream."""

    track: Track
    evidence: Floats
    returned: NDArray[np.bool_]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Of one endpoint. Instants in microseconds; the start of the newest window that was judged."""

    reference: str = ""
    """What the baseline stands for; another text in the settings makes it anew."""
    seconds: int = 0
    baseline: str = ""
    """Digest of the object that holds it; empty while there is none."""
    inputs_until: int | None = None
    labels_until: int | None = None
    columns: Track | None = None
    served: list[list[Any]] | None = None
    """The calibration of score, latency and performance."""
    felt: Track | None = None
    """Score and latency."""
    worth: Track | None = None
    """Performance."""
    unlabelled: int = 0
    """Windows in a row without a figure of performance."""
    far: dict[str, str] = {}
    """Columns that were out, alone, in the newest window, with what looked broken about them."""
    problem: str = ""
    """Why there is no baseline, where one is due."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as a step of the controller finds it."""

    endpoint: str
    seconds: int
    revision: int
    settings: DriftSettings
    progress: Progress
    episodes: list[Episode]
    """Those that are open."""


def advanced(
    calibration: Calibration, track: Track, out: Floats, quiet: int, open_: NDArray[np.bool_], *, rises: bool = False
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


def restarted(track: Track, streams: NDArray[np.bool_]) -> Track:
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


def encoded(progress: Progress) -> bytes:
    """For the catalog."""
    return msgspec.msgpack.encode(progress)


def decoded(raw: bytes | None) -> Progress:
    """What `encoded` encoded."""
    return Progress() if raw is None else msgspec.msgpack.decode(raw, type=Progress)


def identity_of(settings: DriftSettings) -> str:
    """The text that changes when the reference does."""
    return msgspec.json.encode(settings.reference).decode()


def column_mask(names: Sequence[str], chosen: set[str]) -> NDArray[np.bool_]:
    """Which streams are of the chosen columns."""
    return np.array([name in chosen for name in names], dtype=np.bool_)
