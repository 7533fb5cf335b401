"""The two charts of an endpoint as coordinates for SVG: quality with its interval, and traffic, on one time axis."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tidegate.loop.records import EndpointStatus, Measure

WIDTH, LINE_HEIGHT, BAR_HEIGHT = 240, 48, 22
FEWEST_SLOTS = 24
"""Few windows stand at the right end, as wide as if there were so many."""
_MARGIN = 3
CHANCE = 0.5


class Bar(NamedTuple):
    """One window's traffic."""

    x: float
    y: float
    width: float
    height: float
    start: datetime
    predictions: int


class Line(NamedTuple):
    """The quality of windows. `lines` and `bands` are lists of points; a window without a figure is a gap."""

    lines: list[str]
    bands: list[str]
    last: tuple[float, float]
    bottom: float
    top: float
    chance: float | None
    """Height at which a model would be that knows nothing, where that is in sight."""


class Chart(NamedTuple):
    """What an endpoint's card draws."""

    line: Line | None
    bars: list[Bar]
    most: int


def chart_of(endpoint: EndpointStatus) -> Chart:
    """The charts of an endpoint."""
    return Chart(_line(endpoint), _bars(endpoint), max(endpoint.volume, default=0))


def _slots(windows: int) -> tuple[float, float]:
    """Width of a window, and where the first one begins."""
    width = WIDTH / max(windows, FEWEST_SLOTS)
    return width, WIDTH - width * windows


def _bars(endpoint: EndpointStatus) -> list[Bar]:
    most = max(endpoint.volume, default=0)
    if not most:
        return []
    width, left = _slots(len(endpoint.volume))
    bars = []
    for index, (start, count) in enumerate(zip(endpoint.windows, endpoint.volume, strict=True)):
        height = max(1.0, BAR_HEIGHT * count / most) if count else 0.0
        bars.append(Bar(left + index * width + 0.1 * width, BAR_HEIGHT - height, 0.8 * width, height, start, count))
    return bars


def _line(endpoint: EndpointStatus) -> Line | None:
    places = {start: index for index, start in enumerate(endpoint.windows)}
    known = [measure for measure in endpoint.history if measure.value == measure.value and measure.start in places]
    if len(known) < 2:
        return None
    bottom, top = min(map(_low, known)), max(map(_high, known))
    ranks = known[-1].metric == "AUC"
    if ranks:
        top = max(top, CHANCE)  # how far below chance a model is, can be seen
    span = (top - bottom) or 1.0
    width, left = _slots(len(endpoint.windows))

    def x(measure: Measure) -> float:
        return left + (places[measure.start] + 0.5) * width

    def y(value: float) -> float:
        return _MARGIN + (LINE_HEIGHT - 2 * _MARGIN) * (1 - (value - bottom) / span)

    runs = _unbroken(known, [places[measure.start] for measure in known])
    lines = [_points([(x(each), y(each.value)) for each in run]) for run in runs]
    bands = [
        _points([(x(each), y(_high(each))) for each in run] + [(x(each), y(_low(each))) for each in reversed(run)])
        for run in runs
    ]
    chance = y(CHANCE) if ranks and bottom < CHANCE else None
    return Line(lines, bands, (x(known[-1]), y(known[-1].value)), bottom, top, chance)


def _unbroken(measures: Sequence[Measure], places: Sequence[int]) -> list[list[Measure]]:
    """The measures, cut where a window between two of them has none."""
    runs: list[list[Measure]] = []
    for index, measure in enumerate(measures):
        if index and places[index] == places[index - 1] + 1:
            runs[-1].append(measure)
        else:
            runs.append([measure])
    return runs


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _low(measure: Measure) -> float:
    return measure.value if measure.low is None else measure.low


def _high(measure: Measure) -> float:
    return measure.value if measure.high is None else measure.high
