"""Answers as people read them: tables for lists, lines for records; JSON when it was asked for."""

import typing
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from tidegate.kernel import wire
from tidegate.kernel.pages import Page

_LONGEST = 48


def print_answer(answer: object, kind: Any, json_output: bool) -> None:
    """Print an operation's answer."""
    if json_output:
        click.echo(wire.encode(answer, kind))
    elif isinstance(answer, Page):
        print_table([_fields(item) for item in answer.items])
        if answer.next:
            click.echo(f"more: --cursor {answer.next}", err=True)
    elif isinstance(answer, list):
        print_table([_fields(item) for item in answer])
    elif isinstance(answer, msgspec.Struct):
        print_record(_fields(answer))
    elif answer is not None:
        click.echo(_text(answer, None))


def print_table(rows: list[dict[str, Any]]) -> None:
    """Rows under headings; columns that are empty everywhere are left out."""
    if not rows:
        click.echo("(none)")
        return
    columns = [name for name in rows[0] if any(row.get(name) not in (None, "", [], {}, ()) for row in rows)]
    texts = [[_text(row.get(name), _LONGEST) for name in columns] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in texts)) for i, name in enumerate(columns)]
    click.echo("  ".join(name.upper().ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip())
    for line in texts:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_record(fields: dict[str, Any]) -> None:
    """One field a line."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name.ljust(width)}  {_text(value, None)}")


def _fields(item: Any) -> dict[str, Any]:
    if isinstance(item, msgspec.Struct):
        return {name: getattr(item, name) for name in item.__struct_fields__}
    return item if isinstance(item, dict) else {"value": item}


def _text(value: Any, longest: int | None) -> str:
    text = _plain(value)
    if longest is not None and len(text) > longest:
        return text[: longest - 1] + "…"
    return text


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(str(item) for item in value)
    return wire.encode(value, typing.Any).decode()
