"""A detector of drift whose sample is the window: windows are judged by how windows of the reference differ.

Rows of one day share its weather, its weekday, its news. A test that takes them for independent alarms every day, so
the spread between whole reference windows is what a new one is measured with. Each *stream* is one figure a window,
such as the mean of a column; a *side* is one direction in which it may leave.

`calibrate` learns each stream's mean (by season, such as the weekday, where that is shown), its spread between
windows, and its tails. `deviations` says how far a window is out, as a standard normal number. `advance` adds that up
in a Shiryaev-Roberts detector: with valid e-values, restarted at each alarm, a stream that alarms at evidence `A`
does so at most once in `A` windows on average. Of S streams that alarm at `N * S` each, false alarms are therefore at
most one in N windows together. Estimated parameters make the e-values approximate; three precautions keep them
honest, and the tests measure what comes out: a shift within two standard errors of the estimated mean counts as none,
positive autocorrelation shrinks the deviations, and each e-value is divided by its mean over the reference where that
is above one.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, logsumexp, ndtri, stdtr

Floats = NDArray[np.float64]

FEWEST: Final = 7
"""So many reference windows are needed at least."""

CLIP: Final = 6.0
"""A deviation counts as no larger, so that one window of a small set of streams cannot shout down the others."""

SMALLEST: Final = 0.02
"""A distance from the mean up to this is no change that anybody minds, and no stream counts as more regular."""

STEPS: Final = (0.25, 0.5, 1.0, 2.0)
"""The shifts, in standard deviations, that the detector bets on; it mixes them evenly."""

_LONG_ENOUGH = 6
_SEASON_SHOWN = 0.01
_MOST = 1e100


class Calibration(NamedTuple):
    """What the reference windows say of S streams. A stream without `FEWEST` reference windows has NaN throughout."""

    mean: Floats
    """Shape (seasons, S)."""
    spread: Floats
    """Standard deviation between windows, shape (S,)."""
    noise: Floats
    """Of its square the part that comes from the number of rows, shape (S,)."""
    windows: Floats
    """Reference windows that had the stream, shape (S,)."""
    parameters: Floats
    """Means estimated: 1, or one a season; shape (S,)."""
    damping: Floats
    """Factor below 1 that autocorrelation demands, shape (S,)."""
    smallest: Floats
    """A distance from the mean up to this counts as none, shape (S,)."""
    excess: Floats
    """Logarithm of the mean e-value over the reference, at least 0; shape (2 * len(STEPS), S)."""


def calibrate(
    values: Floats,
    noise: Floats,
    season: NDArray[np.intp] | None = None,
    seasons: int = 1,
    smallest: float | Floats = SMALLEST,
) -> Calibration:
    """Learn from R reference windows in order.

    `values`: shape (R, S), NaN where a window lacks a stream.  `noise`: the variance that each value has by the number
    of its rows alone, same shape.  `season`: of each window, from 0 to before `seasons`; a stream gets a mean a season
    where there are six windows of each and an F test at 1 % shows that they differ.  `smallest`: a distance from the
    mean up to this counts as none, and no stream as more regular than this, however regular it was.
    """
    there = np.isfinite(values)
    windows = there.sum(axis=0).astype(np.float64)
    enough = windows >= FEWEST
    mean = np.broadcast_to(_mean(values, there), (seasons, values.shape[1])).copy()
    parameters = np.ones(values.shape[1])
    if season is not None and seasons > 1:
        by_season, shown = _seasonal(values, there, season, seasons)
        mean[:, shown] = by_season[:, shown]
        parameters[shown] = seasons
    residuals = np.where(there, values - mean[season if season is not None else 0], 0.0)
    freedom = np.maximum(windows - parameters, 1.0)
    own = np.where(there, noise, 0.0).sum(axis=0) / np.maximum(windows, 1.0)
    spread = np.sqrt(np.maximum((residuals**2).sum(axis=0) / freedom, np.square(smallest)))
    damping = _damping(residuals, there, windows)
    mean[:, ~enough] = np.nan
    least = np.broadcast_to(np.asarray(smallest, dtype=np.float64), windows.shape)
    none = np.zeros((2 * len(STEPS), values.shape[1]))
    found = Calibration(mean, spread, own, windows, parameters, damping, least, none)
    inside = damping * _beyond(residuals, least) / spread
    gains = np.where(there, _gains(np.clip(inside, -CLIP, CLIP)), -np.inf)
    with np.errstate(divide="ignore"):
        excess = logsumexp(gains, axis=1) - np.log(np.maximum(windows, 1.0))
    return found._replace(excess=np.maximum(excess, 0.0))


def deviations(calibration: Calibration, values: Floats, noise: Floats, season: int = 0) -> Floats:
    """How far a window is out, shape (S,): standard normal where nothing changed, NaN where a stream is absent.

    `values`, `noise`: shape (S,). A window with fewer rows than those of the reference is given more room.
    """
    known, own = calibration, np.maximum(noise - calibration.noise, 0.0)
    inflation = 1 + known.parameters / np.maximum(known.windows, 1.0)
    room = np.sqrt((known.spread**2 + own) * inflation)
    out = _beyond(values - known.mean[season], known.smallest) / room
    tail = stdtr(np.maximum(known.windows - known.parameters, 1.0), -np.abs(out))
    plain = -np.sign(out) * ndtri(np.maximum(tail, 1e-300))
    return np.asarray(np.clip(known.damping * plain, -CLIP, CLIP), dtype=np.float64)


def nothing_yet(streams: int) -> Floats:
    """The state of a detector that has seen no window, shape (2 * len(STEPS), streams)."""
    return np.zeros((2 * len(STEPS), streams))


def advance(calibration: Calibration, state: Floats, deviation: Floats) -> Floats:
    """The state after one more window. A stream that is absent keeps its state."""
    allowance = 2 * np.sqrt(calibration.parameters / np.maximum(calibration.windows, 1.0))
    both = np.concatenate([_gains(deviation[None]), -calibration.excess[:, None, :]], axis=1).sum(axis=1)
    steps = np.repeat(STEPS, 2)[:, None]
    grown = np.minimum((state + 1) * np.exp(both - steps * allowance), _MOST)
    return np.where(np.isfinite(deviation), grown, state)


def evidence(state: Floats, *, upwards_only: bool = False) -> Floats:
    """The evidence of each stream that it has shifted, shape (S,); of both directions, or of a rise alone."""
    up, down = state[0::2].mean(axis=0), state[1::2].mean(axis=0)
    return np.asarray(up if upwards_only else (up + down) / 2, dtype=np.float64)


def _gains(deviation: Floats) -> Floats:
    """Log e-values, shape (2 * len(STEPS), windows, S): each step upwards and downwards in turn."""
    return np.stack([sign * step * deviation - step * step / 2 for step in STEPS for sign in (1.0, -1.0)])


def _beyond(distance: Floats, smallest: Floats) -> Floats:
    return np.asarray(np.sign(distance) * np.maximum(np.abs(distance) - smallest, 0.0), dtype=np.float64)


def _mean(values: Floats, there: NDArray[np.bool_]) -> Floats:
    total = np.where(there, values, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(there.sum(axis=0), 1), dtype=np.float64)


def _seasonal(
    values: Floats, there: NDArray[np.bool_], season: NDArray[np.intp], seasons: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Means by season, and the streams for which they are shown to differ."""
    groups = [season == each for each in range(seasons)]
    means = np.stack([_mean(values[group], there[group]) for group in groups])
    count = there.sum(axis=0)
    fewest = np.stack([there[group].sum(axis=0) for group in groups]).min(axis=0)
    within = np.where(there, values - means[season], 0.0)
    around = np.where(there, values - _mean(values, there), 0.0)
    inner, outer = (within**2).sum(axis=0), (around**2).sum(axis=0)
    freedom = np.maximum(count - seasons, 1)
    ratio = (outer - inner) / (seasons - 1) / np.maximum(inner / freedom, 1e-30)
    shown = (fewest >= _LONG_ENOUGH) & (fdtrc(seasons - 1, freedom, np.maximum(ratio, 0.0)) < _SEASON_SHOWN)
    return means, shown & (outer > 1e-20)


def _damping(residuals: Floats, there: NDArray[np.bool_], windows: Floats) -> Floats:
    """The root of (1 - r) / (1 + r), r being what neighbouring windows correlate by, and a standard error more."""
    pairs = there[1:] & there[:-1]
    joint = np.where(pairs, residuals[1:] * residuals[:-1], 0.0).sum(axis=0)
    raw = joint / np.maximum((residuals**2).sum(axis=0), 1e-30)
    count = np.maximum(windows, 1.0)
    corrected = np.clip(raw + (1 + 3 * raw + np.sqrt(count)) / count, 0.0, 0.9)
    return np.asarray(np.sqrt((1 - corrected) / (1 + corrected)), dtype=np.float64)
