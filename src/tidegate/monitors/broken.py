"""Whether a column looks broken: something no nature does, such as another unit overnight. Pure."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.monitors.columns import ColumnReference, unseen_share
from tidegate.monitors.drift_records import ColumnWindow

Floats = NDArray[np.float64]

FAR: Final = 3.0
"""Standard deviations between windows that a jump takes."""

FEWEST_ROWS: Final = 30

_NEAR = 1e-3
_MISSING = 0.05
_STRANGE = 0.05
_MANY = 5.0


class Unit(NamedTuple):
    """A change of unit: `value * factor + offset`."""

    name: str
    factor: float
    offset: float = 0.0


UNITS: Final = (
    Unit("miles an hour to metres a second", 0.44704),
    Unit("metres a second to miles an hour", 2.23694),
    Unit("miles to kilometres", 1.609344),
    Unit("kilometres to miles", 0.621371),
    Unit("metres to feet", 3.28084),
    Unit("feet to metres", 0.3048),
    Unit("knots to metres a second", 0.514444),
    Unit("metres a second to knots", 1.943844),
    Unit("kilometres an hour to metres a second", 1 / 3.6),
    Unit("metres a second to kilometres an hour", 3.6),
    Unit("inches to millimetres", 25.4),
    Unit("millimetres to inches", 1 / 25.4),
    Unit("pounds to kilograms", 0.453592),
    Unit("kilograms to pounds", 2.204623),
    Unit("thousands to ones", 1000.0),
    Unit("ones to thousands", 0.001),
    Unit("shares to percent", 100.0),
    Unit("percent to shares", 0.01),
    Unit("degrees Fahrenheit to Celsius", 1 / 1.8, -32 / 1.8),
    Unit("degrees Celsius to Fahrenheit", 1.8, 32.0),
    Unit("kelvins to degrees Celsius", 1.0, -273.15),
    Unit("degrees Celsius to kelvins", 1.0, 273.15),
)


def suspicion(reference: ColumnReference, window: ColumnWindow, numbers: Floats, *, sudden: bool, alone: bool) -> str:
    """What looks broken about a column in one window, in words; empty where nothing does.

    `window.out` says how far it is out.  `numbers`: its values, for a column of numbers.  `sudden`: whether the window
    before was within the usual variation, or looked broken already.  `alone`: whether the other columns are.
    """
    if window.count < FEWEST_ROWS:
        return ""
    missing = window.nulls / window.count
    if window.out.get("nulls", 0.0) > FAR and missing - reference.nulls > _MISSING:
        return f"null in {missing:.0%} of the rows, in the reference {reference.nulls:.1%}"
    if window.distinct == 1 and reference.least_distinct > 1 and window.count - window.nulls >= FEWEST_ROWS:
        return "one value only, where every window of the reference has several"
    strange = window.out.get("unseen", 0.0) > FAR
    if reference.type == "text":
        unseen = window.unseen
        if strange and unseen > _STRANGE:
            new = [name for name in window.categories if name not in reference.categories][:3]
            return f"{unseen:.0%} of the rows have a value that the reference never has, such as {', '.join(new)}"
        return ""
    if reference.seen and strange:
        return _on_another_lattice(reference, numbers)
    jumped = max(abs(window.out.get(each, 0.0)) for each in ("location", "spread")) > FAR
    return _rescaled(reference, window) if jumped and sudden and alone else ""


def _on_another_lattice(reference: ColumnReference, numbers: Floats) -> str:
    """A unit that turns values which were never seen into those that were: no weather does that."""
    seen = np.array(reference.seen or [])
    if unseen_share(seen, numbers, _NEAR) < 0.5:
        return ""
    left = [(unseen_share(seen, (numbers - unit.offset) / unit.factor, _NEAR), unit) for unit in UNITS]
    least, unit = min(left, key=lambda each: each[0])
    return _unit(unit) if least < 0.1 else ""


def _rescaled(reference: ColumnReference, window: ColumnWindow) -> str:
    """A unit, or a large factor, after which the quantiles are those of the reference."""
    inner = slice(1, -1)
    known, found = np.array(reference.quantiles)[inner], np.array(window.quantiles)[inner]
    width = known[-2] - known[1]
    if width <= 0 or not len(found):
        return ""
    off = [(float(np.abs((found - unit.offset) / unit.factor - known).max()) / width, unit) for unit in UNITS]
    least, unit = min(off, key=lambda each: each[0])
    if least < 0.25:
        return _unit(unit)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(found / known)
    if np.isfinite(ratios).all() and np.ptp(ratios) < 0.2 and abs(ratios.mean()) > np.log(_MANY):
        return f"values look multiplied by about {np.exp(ratios.mean()):.3g}"
    return ""


def _unit(unit: Unit) -> str:
    factor = f"multiplied by {unit.factor:.4g}" if unit.factor != 1.0 else "shifted"
    return f"values look {factor} ({unit.name})"
