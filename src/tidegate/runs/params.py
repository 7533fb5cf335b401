"""How a parameter is kept: its kind, its text, and the number that it counts as in a search."""

import math
import re
from typing import Final

from tidegate.runs.records import Value

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def spell_param(value: Value) -> tuple[str, str]:
    """A parameter as it is kept: its kind, and its text as Python writes it (``True``, ``None``, ``0.1``)."""
    return ("null" if value is None else type(value).__name__, str(value))


def read_param(kind: str, text: str) -> Value:
    """The parameter that `spell_param` spelt."""
    match kind:
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "bool":
            return text == "True"
        case "null":
            return None
    return text


def param_number(value: Value) -> float | None:
    """What a parameter counts as beside a number: itself, or the finite decimal number that it spells."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
