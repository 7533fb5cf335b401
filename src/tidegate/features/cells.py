"""Values as a request or a pushed row brings them: which fit their type, and what is said of those that do not."""

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from tidegate.features.expressions import SourceType
from tidegate.kernel.clock import parse_instant, to_micros
from tidegate.kernel.errors import Invalid

_EPOCH: Final = date(1970, 1, 1)
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
        return to_micros(parse_instant(value if len(value) <= 64 else value[:64], what), what)
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
