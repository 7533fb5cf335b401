"""Answers as people read them: tables for lists, lines for records; JSON when it was asked for."""

import re
import shutil
import sys
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from tidegate.kernel import wire
from tidegate.kernel.pages import Page

_LONGEST = 48
_GAP = "  "
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHORT_DIGEST = 12
"""So many digits of a digest name a version wherever a reference is asked for."""


def print_answer(answer: object, kind: Any, json_output: bool) -> None:
    """Print an operation's answer."""
    if json_output:
        click.echo(wire.encode(answer, kind))
    elif isinstance(answer, Page):
        print_table([_fields(item) for item in answer.items])
        if answer.next:
            click.echo(f"there is more: --cursor {answer.next}", err=True)
    elif isinstance(answer, list | tuple):
        print_table([_fields(item) for item in answer])
    elif isinstance(answer, msgspec.Struct | dict):
        click.echo("\n".join(_record(_fields(answer), "")))
    elif answer is not None:
        click.echo(_text(answer))


def print_table(rows: list[dict[str, Any]]) -> None:
    """Rows under headings; what no row can say in a word, and what does not fit into the terminal, is left out."""
    if not rows:
        click.echo("(none)")
        return
    lines, hidden = _table(rows, _width())
    click.echo("\n".join(lines))
    if hidden:
        click.echo(f"too wide for this terminal: {', '.join(hidden)}; --json has everything", err=True)


def _table(rows: list[dict[str, Any]], width: int | None) -> tuple[list[str], list[str]]:
    """Lines, and the columns that did not fit."""
    cells = {name: [_cell(row.get(name)) for row in rows] for name in rows[0]}
    shown: list[list[str]] = []
    hidden: list[str] = []
    used = 0
    for name, column in cells.items():
        if not any(column):
            continue
        heading = name.replace("_", " ").upper()
        wide = max(len(heading), *map(len, column))
        used += wide + len(_GAP)
        if width is not None and shown and used - len(_GAP) > width:
            hidden.append(name)
            continue
        numbers = all(_is_number(row.get(name)) for row in rows)
        texts = [heading, *(text or "-" for text in column)]
        shown.append([text.rjust(wide) if numbers else text.ljust(wide) for text in texts])
    return [_GAP.join(line).rstrip() for line in zip(*shown, strict=True)], hidden


def _record(fields: dict[str, Any], indent: str) -> list[str]:
    """One field a line; what has fields of its own stands indented below its name."""
    width = max((len(name) for name in fields), default=0)
    lines: list[str] = []
    for name, value in fields.items():
        title = f"{indent}{name.replace('_', ' ').ljust(width)}"
        inner = _inner(value, indent + _GAP)
        if inner is None:
            lines.append(f"{title}  {_text(value)}".rstrip())
        else:
            lines += [title.rstrip(), *inner]
    return lines


def _inner(value: Any, indent: str) -> list[str] | None:
    """The lines of a value that does not fit on one."""
    if isinstance(value, msgspec.Struct) or (isinstance(value, dict) and not _is_brief(value)):
        return _record(_fields(value), indent)
    if isinstance(value, list | tuple) and value and not all(map(_is_plain, value)):
        lines, _ = _table([_fields(item) for item in value], None)
        return [indent + line for line in lines]
    return None


def _fields(item: Any) -> dict[str, Any]:
    if isinstance(item, msgspec.Struct):
        return {name: getattr(item, name) for name in item.__struct_fields__}
    return {str(name): value for name, value in item.items()} if isinstance(item, dict) else {"value": item}


def _cell(value: Any) -> str:
    """A value in a word or two; empty where it takes more."""
    if value is None or value == "":
        return ""
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value[:_SHORT_DIGEST]
    if isinstance(value, list | tuple):
        text = ", ".join(filter(None, map(_cell, value)))
    elif isinstance(value, dict):
        text = _text(value) if all(map(_is_plain, value.values())) else ""
    elif isinstance(value, msgspec.Struct):
        text = next((getattr(value, name) for name in ("reference", "version") if _names(value, name)), "")
    else:
        text = _text(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _names(value: msgspec.Struct, attribute: str) -> bool:
    return isinstance(getattr(value, attribute, None), str)


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(item)}" for name, item in value.items()) or "-"
    return wire.encode(value, Any).decode()


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | datetime)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_brief(value: dict[Any, Any]) -> bool:
    return all(map(_is_plain, value.values())) and len(_text(value)) <= _LONGEST


def _width() -> int | None:
    """Of the terminal; None where the text goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
