"""The page at `/`: every endpoint, what is live, and how it is doing. Rendered here, without a script."""

import functools
import re
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import PurePath
from typing import TypeVar

import jinja2
from markupsafe import Markup, escape

from tidegate.http import status_chart
from tidegate.kernel.context import Call, current
from tidegate.kernel.dispatch import WireTransport
from tidegate.loop import wording
from tidegate.loop.records import EndpointStatus, Status
from tidegate.loop.status import MOST_EPISODES
from tidegate.workspace import LocalWorkspace, RemoteWorkspace, Workspace

T = TypeVar("T")

_DAY = 86_400
_PERIODS = {3600: "hour", _DAY: "day", 7 * _DAY: "week"}
_FIRST_INCIDENTS, _FIRST_CHIPS = 3, 6
"""What is beyond them unfolds on demand."""
_LABELLED_STEPS = 6
"""A canary with more steps shows them without their percentages, for which there is no room."""
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_COMMAND = re.compile(r"'(tidegate [^']+)'")


def render_status(workspace: LocalWorkspace, call: Call) -> str:
    """The page as the caller may see it. Raises `Forbidden` where that is nothing."""
    return page(read_as(workspace, call, lambda space: space.loop.status()), workspace.settings.home)


def read_as(workspace: LocalWorkspace, call: Call, read: Callable[[Workspace], T]) -> T:
    """What a caller reads through the operations, as if they were asked over the wire."""
    token = current.set(call)
    try:
        transport = WireTransport(workspace.dispatcher, workspace.services, call.actor)
        return read(RemoteWorkspace(transport, workspace.objects))
    finally:
        current.reset(token)


def page(status: Status, home: str) -> str:
    """The page for a status."""
    attention = [each for each in status.endpoints if each.health == "attention"]
    alarms = len(attention) + len(status.incidents)
    return _template().render(status=status, home=home, attention=attention, alarms=alarms)


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
        "stop": _stop,
        "title": _title,
        "tail": _tail,
        "per": _per,
        "moment": _moment,
        "brief": _brief,
        "share": _share,
        "short": _short,
        "within": _within,
        "commands": _commands,
        "grouped": _grouped,
        "changed": wording.changed,
        "by_weight": wording.by_weight,
        "decided": wording.decided,
        "retrained": wording.retrained,
    }
    environment.globals |= {
        "words": _words,
        "chart": status_chart.chart_of,
        "box": status_chart,
        "first_incidents": _FIRST_INCIDENTS,
        "first_chips": _FIRST_CHIPS,
        "labelled_steps": _LABELLED_STEPS,
        "most_episodes": MOST_EPISODES,
    }
    return environment.from_string(files("tidegate.http").joinpath("status.html").read_text(encoding="utf-8"))


def _instant(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M UTC")


def _day(value: datetime, seconds: int = _DAY) -> str:
    """The day, with the time where windows are shorter than that."""
    return value.strftime("%d %b %Y" if seconds >= _DAY else "%d %b %H:%M").lstrip("0")


def _moment(value: datetime) -> str:
    return f"{_day(value)} {value:%H:%M}"


def _brief(value: datetime, now: datetime) -> str:
    """The day, with its year where that is another one."""
    return value.strftime("%d %b" if value.year == now.year else "%d %b %Y").lstrip("0")


def _share(value: float) -> str:
    return f"{value:g}"


def _count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def _grouped(text: str) -> str:
    """A sentence of ours with its numbers written as all others here."""
    return _THOUSANDS.sub("\u202f", text)


def _figure(value: float | None, digits: int = 3) -> str:
    """So many digits as can be read at a glance: 0.226, 1.83, 22.5, 1 204."""
    if value is None or value != value:
        return "–"
    whole = len(f"{abs(value):.0f}") if abs(value) >= 1 else 0
    return f"{value:,.{max(digits - whole, 0)}f}".replace(",", "\u202f")


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return _title(_stop(text))


def _stop(text: str) -> str:
    """With a full stop, and as it begins: with a name, which stays as it is."""
    return text if text.endswith((".", "…")) else f"{text}."


def _short(text: str, most: int = 200) -> str:
    """A text by a user, as far as there is room for it."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _within(title: str, endpoint: str) -> str:
    """A title where its endpoint is named already."""
    return title.removeprefix(f"{endpoint}: ")


def _commands(text: str) -> Markup:
    """The text with its commands as code; everything in it is escaped."""
    parts = _COMMAND.split(text)  # commands at the odd places
    told = [f"<code>{escape(part)}</code>" if place % 2 else str(escape(part)) for place, part in enumerate(parts)]
    return Markup("".join(told))


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
