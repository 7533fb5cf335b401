"""The page at `/`: every endpoint, what is live, and how it is doing. Rendered here, without a script."""

import functools
from datetime import datetime
from importlib.resources import files

import jinja2

from tidegate.kernel.context import Call, current
from tidegate.kernel.dispatch import WireTransport
from tidegate.loop.records import EndpointStatus, Measure, Status
from tidegate.workspace import LocalWorkspace, RemoteWorkspace

_SPARK_WIDTH, _SPARK_HEIGHT = 240, 44


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
    environment.filters |= {"instant": _instant, "day": _day, "count": _count, "figure": _figure}
    environment.globals |= {"spark": _spark, "bars": _bars, "words": _words}
    return environment.from_string(files("tidegate.http").joinpath("status.html").read_text(encoding="utf-8"))


def _instant(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M UTC")


def _day(value: datetime) -> str:
    return value.strftime("%d %b %Y")


def _count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def _words(endpoint: EndpointStatus) -> str:
    return {"good": "doing well", "attention": "needs attention", "waiting": "waiting for labels"}[endpoint.health]


def _spark(history: tuple[Measure, ...]) -> dict[str, object] | None:
    """Points of the quality line, and the band of its interval, as SVG coordinates."""
    points = [measure for measure in history if measure.value == measure.value]
    if len(points) < 2:
        return None
    lows = [measure.value if measure.low is None else measure.low for measure in points]
    highs = [measure.value if measure.high is None else measure.high for measure in points]
    bottom, top = min(lows), max(highs)
    span = (top - bottom) or 1.0
    step = _SPARK_WIDTH / (len(points) - 1)

    def place(index: int, value: float) -> str:
        return f"{index * step:.1f},{4 + (_SPARK_HEIGHT - 8) * (1 - (value - bottom) / span):.1f}"

    band = [place(i, value) for i, value in enumerate(highs)]
    band += [place(i, value) for i, value in reversed(list(enumerate(lows)))]
    line = [place(i, measure.value) for i, measure in enumerate(points)]
    return {"line": " ".join(line), "band": " ".join(band), "last": line[-1].split(","), "bottom": bottom, "top": top}


def _bars(volume: tuple[int, ...]) -> list[tuple[float, float, float, float]]:
    """x, y, width and height of a bar for each window's traffic."""
    most = max(volume, default=0)
    if not most:
        return []
    width = _SPARK_WIDTH / len(volume)
    heights = [max(1.0, 24 * each / most) if each else 0.0 for each in volume]
    return [(i * width, 26 - height, max(width - 1.5, 0.8), height) for i, height in enumerate(heights)]
