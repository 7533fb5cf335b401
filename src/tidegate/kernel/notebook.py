"""Small tables of HTML for notebooks. Whatever is shown in them was written by somebody, so all of it is escaped."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape

MOST_ROWS = 60
MOST_CHARACTERS = 120

_CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"


def card(title: str, fields: Mapping[str, object]) -> str:
    """A title, and one row a field; fields that are empty are left out."""
    shown = [(name, value) for name, value in fields.items() if value not in (None, "", (), {})]
    return _table(title, "", [[f"<th style='{_CELL}'>{cell(name)}</th>", _data(value)] for name, value in shown])


def grid(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]], *, strong: Sequence[bool] = ()) -> str:
    """A title, headings, and rows; a row that is ``strong`` stands out."""
    head = "".join(f"<th style='{_CELL}'>{cell(heading)}</th>" for heading in headings)
    marked = [*strong]
    return _table(
        title,
        f"<tr>{head}</tr>",
        [
            [_data(value, strong=place < len(marked) and marked[place]) for value in row]
            for place, row in enumerate(rows)
        ],
    )


def cell(value: object) -> str:
    """A value as it is shown: shortened, escaped, and without characters that change the direction of the text."""
    text = _text(value)
    text = text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
    return escape("".join(one if one.isprintable() else " " for one in text))


def _data(value: object, *, strong: bool = False) -> str:
    style = f"{_CELL};font-weight:bold" if strong else _CELL
    return f"<td style='{style}'>{cell(value)}</td>"


def _table(title: str, head: str, rows: Sequence[Sequence[str]]) -> str:
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows[:MOST_ROWS])
    more = f"<div>… and {len(rows) - MOST_ROWS} more</div>" if len(rows) > MOST_ROWS else ""
    return f"<div><b>{cell(title)}</b><table>{head}{body}</table>{more}</div>"


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}" if math.isfinite(value) else str(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case Mapping():
            return ", ".join(f"{name}={_text(one)}" for name, one in value.items())
        case list() | tuple():
            return ", ".join(map(_text, value))
    return str(value)
