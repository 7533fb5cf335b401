"""Values as a filter writes them, turned into what the field beside them holds."""

import math
from typing import Final

from tidegate.kernel.clock import parse_instant, to_micros
from tidegate.kernel.errors import Invalid
from tidegate.runs.search.ast import Attribute, Field, Operand

MOST_WILDCARDS: Final = 20
LONGEST_PATTERN: Final = 1000
MOST_MICROSECONDS: Final = 2**63 - 1


def number(text: str) -> float:
    """A finite number. Raises `Invalid`."""
    value = float(text)
    if not math.isfinite(value):
        raise Invalid(f"{text[:40]} is more than a number of 64 bits holds")
    return value


def instant_of_milliseconds(text: str) -> int:
    """Microseconds for milliseconds since 1970, as MLflow writes instants. Raises `Invalid`."""
    whole = text.lstrip("+-").isdigit() and len(text) < 20
    micros = int(text) * 1000 if whole else round(number(text) * 1000)
    if abs(micros) > MOST_MICROSECONDS:
        raise Invalid(f"{text[:40]} milliseconds since 1970 are outside of every calendar")
    return micros


def instant_of_text(text: str) -> int:
    """Microseconds for an instant such as ``2013-01-01T00:00:00Z``. Raises `Invalid`."""
    return to_micros(parse_instant(text[:80]))


def text_for(field: Field, text: str) -> Operand:
    """The text as the field holds it: a status may be written in capitals, as MLflow does."""
    return text.lower() if isinstance(field, Attribute) and field.name == "status" else text


def check_pattern(pattern: str) -> None:
    """Raises `Invalid` for a pattern that costs too much, or ends within an escape."""
    if len(pattern) > LONGEST_PATTERN:
        raise Invalid(f"the pattern has {len(pattern):,} characters, at most {LONGEST_PATTERN:,}")
    pieces = pattern_pieces(pattern)
    if pieces and pieces[-1] == ("\\", True):
        raise Invalid(r"the pattern ends with a lone backslash: write \\ for the character itself")
    if sum(piece == ("%", True) for piece in pieces) > MOST_WILDCARDS:
        raise Invalid(f"the pattern has more than {MOST_WILDCARDS} '%'")


def pattern_pieces(pattern: str) -> list[tuple[str, bool]]:
    """The characters of a pattern, and whether each is special: ``%``, ``_``, or a backslash with nothing after it."""
    pieces: list[tuple[str, bool]] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            after = next(characters, None)
            pieces.append(("\\", True) if after is None else (after, False))
        else:
            pieces.append((character, character in "%_"))
    return pieces
