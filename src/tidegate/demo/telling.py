"""How the demo is told, line by line, as plain text that may be painted."""

import textwrap
from collections.abc import Callable
from typing import Literal

from tidegate.demo.report import DemoReport

Mark = Literal["chapter", "done", "refused", "killed", "plain"]

Say = Callable[[Mark, str], None]
"""Takes a step as soon as it is over."""

Paint = Callable[[str, str], str]
"""Gives a text a colour, where the terminal takes one."""

_MARKS: dict[Mark, tuple[str, str, str]] = {
    "done": ("✓", "+", "green"),
    "refused": ("✓", "+", "green"),
    "killed": ("✗", "x", "red"),
}
_WIDTH = 118


def line_of(mark: Mark, text: str, paint: Paint, *, unicode: bool = True) -> str:
    """The lines of one step, at most 118 characters wide."""
    if mark == "chapter":
        return f"\n{paint(text, 'bold')}"
    if mark == "plain":
        return textwrap.indent(text, "    ")
    sign, plain, colour = _MARKS[mark]
    wrapped = textwrap.fill(text, _WIDTH, initial_indent="  . ", subsequent_indent="    ", break_on_hyphens=False)
    return f"  {paint(sign if unicode else plain, colour)} {wrapped[4:]}"


def closing(report: DemoReport) -> str:
    """The last line: whether everything held."""
    lost = f"{report.lost} lost, {report.doubled} doubled, {report.acknowledged:,} acknowledged"
    verdict = "everything held" if report.held else "SOMETHING DID NOT HOLD"
    return f"{verdict}: {lost}, in {report.seconds:.1f} s"


def addresses(url: str) -> str:
    """The lines that say where to look while the server is up; ``url`` ends with a slash."""
    shown = {
        "": "the status page: endpoints, canaries, incidents, episodes",
        "metrics": "what Prometheus scrapes",
        "openapi.json": "every operation, for any client",
    }
    return "\n".join(f"  {f'{url}{path}':<40} {what}" for path, what in shown.items())
