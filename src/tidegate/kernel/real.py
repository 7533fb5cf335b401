"""`Real`: a float that may be NaN or infinite and survives JSON, which has no word for either.

On the wire the three travel as "NaN", "Infinity" and "-Infinity". A type checker sees plain `float`.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Real = float
else:

    class Real(float):
        """A float whose NaN and infinities travel as text."""

        __slots__ = ()


_FROM_TEXT = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def real_from_wire(value: object) -> float:
    """The float for what came over the wire. Raises ValueError when it is none."""
    if isinstance(value, str):
        if value not in _FROM_TEXT:
            raise ValueError(f'expected a number, "NaN", "Infinity" or "-Infinity", got {value!r}')
        return Real(_FROM_TEXT[value])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got `{type(value).__name__}`")
    return Real(value)


def real_to_wire(value: float) -> float | str:
    """What stands for the float on the wire."""
    if math.isfinite(value):
        return float(value)
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
