"""The page at `/`: every endpoint, what is live, and how it is doing. Rendered here, without a script."""

import functools
from datetime import datetime
from importlib.resources import files
from pathlib import PurePath

import jinja2

from tidegate.http import status_chart
from tidegate.kernel.context import Call, current
from tidegate.kernel.dispatch import WireTransport
from tidegate.loop.records import EndpointStatus, Status
from tidegate.workspace import LocalWorkspace, RemoteWorkspace

_DAY = 86_400
_PERIODS = {3600: "hour", _DAY: "day", 7 * _DAY: "week"}


def render_status(workspace: LocalWorkspace, call: Call) -> str:
    """The page as the caller may see it. Raises `Forbidden` where that is nothing."""
    token = current.set(call)
    try:
        transport = WireTransport(workspace.dispatcher, workspace.services, call.actor)
        status = RemoteWorkspace(transport, workspace.objects).loop.status()
    finally:
        current.reset(token)
    return page(status, workspace.settings.home)


def page(status: Status, home: str) -> str:
    """The page for a status."""
    attention = [each for each in status.endpoints if each.health == "attention"]
    return _template().render(status=status, home=home, attention=attention)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "instant": _instant,
        "day": _day,
        "count": _count,
        "figure": _figure,
        "sentence": _sentence,
        "title": _title,
        "tail": _tail,
        "per": _per,
    }
    environment.globals |= {"words": _words, "chart": status_chart.chart_of, "box": status_chart}
    return environment.from_string(files("tidegate.http").joinpath("status.html").read_text(encoding="utf-8"))


def _instant(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M UTC")


def _day(value: datetime, seconds: int = _DAY) -> str:
    """The day, with the time where windows are shorter than that."""
    return value.strftime("%d %b %Y" if seconds >= _DAY else "%d %b %H:%M").lstrip("0")


def _count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def _figure(value: float | None, digits: int = 3) -> str:
    """So many digits as can be read at a glance: 0.226, 1.83, 22.5, 1 204."""
    if value is None or value != value:
        return "–"
    whole = len(f"{abs(value):.0f}") if abs(value) >= 1 else 0
    return f"{value:,.{max(digits - whole, 0)}f}".replace(",", "\u202f")


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return _title(text) if text.endswith(".") else f"{_title(text)}."


def _tail(home: str) -> str:
    """The end of a path, which tells homes apart."""
    parts = PurePath(home).parts
    return home if len(parts) <= 3 else str(PurePath("…", *parts[-2:]))


def _per(seconds: int) -> str:
    """How long a window is, after a figure's name: `by day`."""
    if seconds in _PERIODS:
        return f"by {_PERIODS[seconds]}"
    for size, name in ((_DAY, "days"), (3600, "hours"), (60, "minutes")):
        if seconds and seconds % size == 0:
            return f"by {seconds // size} {name}"
    return "by window"


def _words(endpoint: EndpointStatus) -> str:
    return {"good": "doing well", "attention": "needs attention", "waiting": "waiting for labels"}[endpoint.health]
