"""Values as a request or a pushed row brings them: which fit their type, and what is said of those that do not."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from tidegate.features.expressions import SourceType
from tidegate.kernel.clock import parse_instant, to_micros
from tidegate.kernel.errors import Invalid

_EPOCH: Final = date(1970, 1, 1)
_LONGEST_INSTANT: Final = 64
_EXPECTED: Final[Mapping[SourceType, str]] = {
    "Int64": "an integer of 64 bits",
    "Float64": "a finite number",
    "Boolean": "true or false",
    "Text": "text",
    "Instant": "an instant with a time zone, such as 2013-10-01T00:00:00Z",
    "Date": "a day, such as 2013-10-01",
}


def read_cell(value: Any, kind: SourceType, row: int, field: str) -> Any:
    """The value as histories hold it: instants as microseconds, days as days since 1970. Null is None.

    Raises `Invalid` naming row and field.
    """
    if value is None:
        return None
    item = getattr(value, "item", None)
    if callable(item):  # a numpy scalar
        value = item()
    read = _READERS[kind](value, row, field)
    if read is None:
        raise wrong(row, field, f"expected {_EXPECTED[kind]} or null, got {shown(value)}")
    return read


def read_column(values: list[Any], kind: SourceType, field: str) -> list[Any]:
    """The values of a field, one a row, each as `read_cell` reads it: at once where all are plain."""
    kinds = set(map(type, values))
    holes = type(None) in kinds
    kinds.discard(type(None))
    plain = _PLAIN.get((kind, kinds.pop())) if len(kinds) == 1 else None
    read = plain([value for value in values if value is not None] if holes else values) if plain else None
    if read is None:
        return [read_cell(value, kind, row, field) for row, value in enumerate(values)]
    if not holes:
        return read
    following = iter(read)
    return [None if value is None else next(following) for value in values]


def wrong(row: int, field: str, what: str) -> Invalid:
    """The error about one field of one row."""
    field = field if len(field) <= 64 else field[:63] + "…"
    return Invalid(f"rows[{row}].{field}: {what}", row=row, field=field)


def shown(value: object) -> str:
    """A value as an error may show it: short, and never the work of a hostile repr."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= 64 else value[:63] + "…")
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**64):
        return repr(value)
    return {int: "a huge integer", list: "a list", dict: "an object"}.get(type(value), f"a {type(value).__name__}")


def _integer(value: Any, _row: int, _field: str) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value if fits else None


def _number(value: Any, _row: int, _field: str) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**1023:
        return None
    return float(value) if math.isfinite(value) else None


def _boolean(value: Any, _row: int, _field: str) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Any, row: int, field: str) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise wrong(row, field, "the text is not valid Unicode") from error
    return value


def _instant(value: Any, row: int, field: str) -> int | None:
    what = f"rows[{row}].{field}"
    if isinstance(value, str):
        return to_micros(parse_instant(value[:_LONGEST_INSTANT], what), what)
    return to_micros(value, what) if isinstance(value, datetime) else None


def _day(value: Any, _row: int, _field: str) -> int | None:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return None
    return (value - _EPOCH).days if isinstance(value, date) and not isinstance(value, datetime) else None


_READERS: Final = {
    "Int64": _integer,
    "Float64": _number,
    "Boolean": _boolean,
    "Text": _text,
    "Instant": _instant,
    "Date": _day,
}


def _plain_integers(values: list[int]) -> list[int] | None:
    return values if min(values) >= -(2**63) and max(values) < 2**63 else None


def _plain_numbers(values: list[float]) -> list[float] | None:
    fits = math.isfinite(sum(values)) and min(values) > -(2**1023) and max(values) < 2**1023
    return values if fits else None


def _plain_texts(values: list[str]) -> list[str] | None:
    return values if "".join(values).isascii() else None


def _plain_instants(values: list[str]) -> list[int] | None:
    """Of UTC."""
    if max(map(len, values)) > _LONGEST_INSTANT:
        return None
    try:
        instants = list(map(datetime.fromisoformat, values))
    except ValueError:
        return None
    return list(map(to_micros, instants)) if all(one.tzinfo is UTC for one in instants) else None


_PLAIN: Final[Mapping[tuple[SourceType, type], Callable[[list[Any]], list[Any] | None]]] = {
    ("Int64", int): _plain_integers,
    ("Float64", float): _plain_numbers,
    ("Boolean", bool): lambda values: values,
    ("Text", str): _plain_texts,
    ("Instant", str): _plain_instants,
}
"""Columns of a kind whose values are all of one type: what they read as, or None where each must be looked at."""
