"""The detector of drift: rarely wrong where nothing changes, and quick to find what does, by seeded simulation."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tidegate.statistics import drift

Floats = NDArray[np.float64]
Process = Callable[[np.random.Generator, int, int], Floats]

STREAMS, WINDOWS, RUNS, EVERY = 40, 150, 12, 100
SD = 0.1
MOST = int(stats.poisson.ppf(0.999, WINDOWS * RUNS / EVERY))
"""One false alarm in 100 windows exactly would be more than this in 1 of 1,000 simulations: 32 in 1,800 windows."""
WATCHED = 60
"""So many windows a shift is given to be found."""


def independent(rng: np.random.Generator, windows: int, streams: int) -> Floats:
    """Windows that differ by chance alone."""
    return rng.normal(0, SD, (windows, streams))


def weekly(rng: np.random.Generator, windows: int, streams: int) -> Floats:
    """Weekdays that differ by up to several standard deviations."""
    shape = rng.normal(0, 3 * SD, (7, streams)) * rng.uniform(0, 1, streams)
    return np.asarray(shape[np.arange(windows) % 7] + independent(rng, windows, streams))


def persistent(rng: np.random.Generator, windows: int, streams: int) -> Floats:
    """Weather: six tenths of a day carry over to the next."""
    values = independent(rng, windows, streams)
    for place in range(1, windows):
        values[place] += 0.6 * values[place - 1]
    return values


def skewed(rng: np.random.Generator, windows: int, streams: int) -> Floats:
    """Rain: many days of little, few of much."""
    return rng.exponential(SD, (windows, streams))


def heavy(rng: np.random.Generator, windows: int, streams: int) -> Floats:
    """Now and then a day of its own, as Student's t with four degrees of freedom has."""
    return rng.standard_t(4, (windows, streams)) * SD


def alarms(process: Process, reference: int, seed: int, shift: Floats | None = None) -> NDArray[np.bool_]:
    """Which streams alarm in which window, shape (windows, streams); `shift` is added to the first stream."""
    rng = np.random.default_rng(seed)
    values = process(rng, reference + (WINDOWS if shift is None else len(shift)), STREAMS)
    if shift is not None:
        values[reference:, 0] += shift
    season = np.arange(len(values)) % 7
    noise = np.full((reference, STREAMS), 0.001)
    calibration = drift.calibrate(values[:reference], noise, season[:reference], 7)
    state, found = drift.nothing_yet(STREAMS), []
    for place in range(reference, len(values)):
        out = drift.deviations(calibration, values[place], noise[0], int(season[place]))
        state = drift.advance(calibration, state, out)
        found.append(drift.evidence(state) >= EVERY * STREAMS)
        state[:, found[-1]] = 0.0
    return np.array(found)


@pytest.mark.parametrize(
    ("process", "reference"),
    [(independent, 14), (independent, 28), (weekly, 28), (weekly, 63), (persistent, 63), (skewed, 90), (heavy, 63)],
)
def test_false_alarms_stay_within_the_knob(process: Process, reference: int) -> None:
    false = sum(int(alarms(process, reference, seed).sum()) for seed in range(RUNS))
    assert false <= MOST, f"{false} false alarms in {RUNS * WINDOWS} windows, at most {MOST} are chance"


@pytest.mark.parametrize(
    ("process", "size", "fastest", "slowest"),
    [(independent, 2, 4, 20), (independent, 3, 2, 8), (independent, 5, 2, 3), (weekly, 3, 3, 14), (weekly, 5, 2, 5)],
)
def test_a_shift_is_found_within_so_many_windows(process: Process, size: int, fastest: int, slowest: int) -> None:
    delays = []
    for seed in range(RUNS):
        found = alarms(process, 63, 100 + seed, np.full(WATCHED, size * SD))[:, 0]
        delays.append(int(found.argmax()) + 1 if found.any() else math.inf)
    assert fastest <= np.median(delays) <= slowest, f"windows until the alarm: {sorted(delays)}"


def test_a_slow_drift_is_found() -> None:
    slope = np.linspace(0.1, 0.1 * WATCHED, WATCHED) * SD
    delays = [int(alarms(independent, 63, 200 + seed, slope)[:, 0].argmax()) + 1 for seed in range(RUNS)]
    assert 10 <= np.median(delays) <= 35, f"windows until the alarm: {sorted(delays)}"


def test_a_season_is_learnt_where_it_is_shown_and_not_else() -> None:
    rng = np.random.default_rng(5)
    values = np.column_stack((weekly(rng, 63, 1), independent(rng, 63, 1)))
    values[:, 0] += np.arange(63) % 7
    found = drift.calibrate(values, np.zeros_like(values), np.arange(63) % 7, 7)
    assert found.parameters.tolist() == [7, 1]
    assert np.diff(found.mean[:, 0]) == pytest.approx(np.ones(6), abs=0.6)
    assert np.ptp(found.mean[:, 1]) == 0


def test_a_window_of_few_rows_is_given_room() -> None:
    values = independent(np.random.default_rng(6), 63, 1)
    found = drift.calibrate(values, np.full_like(values, 0.001))
    far = found.mean[0] + 5 * SD
    usual = drift.deviations(found, far, np.array([0.001]))
    small = drift.deviations(found, far, np.array([0.25]))
    assert usual[0] > 3.5
    assert 0 < small[0] < 1.2


def test_a_stream_that_is_absent_says_nothing() -> None:
    values = independent(np.random.default_rng(7), 30, 3)
    values[:, 1] = np.nan
    values[: 30 - drift.FEWEST + 1, 2] = np.nan
    found = drift.calibrate(values, np.zeros_like(values))
    out = drift.deviations(found, np.array([1.0, 1.0, 1.0]), np.zeros(3))
    assert out[0] == drift.CLIP * found.damping[0] or out[0] > 4
    assert np.isnan(out[1:]).all()
    state = drift.advance(found, drift.nothing_yet(3), out)
    assert (state[:, 1:] == 0).all()
    assert drift.evidence(state, upwards_only=True)[0] > drift.evidence(state)[0] > 1


def test_what_nobody_minds_is_no_deviation() -> None:
    values = np.zeros((30, 1))
    found = drift.calibrate(values, values, smallest=0.5)
    assert drift.deviations(found, np.array([0.5]), np.zeros(1))[0] == 0
    assert drift.deviations(found, np.array([1.5]), np.zeros(1))[0] > 1
