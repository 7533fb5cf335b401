"""How `tidegate status` reads: one line an endpoint, and below it what ought to be looked at."""

from datetime import UTC, datetime

import click

from tidegate.cli.printing import print_table
from tidegate.loop.records import EndpointStatus, Health, Measure, Status

_SIGNS: dict[Health, tuple[str, str]] = {"good": ("●", "green"), "waiting": ("○", "blue"), "attention": ("▲", "red")}
_BARS = "▁▂▃▄▅▆▇█"
_LATEST = 24
"""So many windows are drawn."""


def print_status(status: Status, where: str) -> None:
    """The state of every endpoint."""
    clock = "simulated time" if status.simulated_clock else "now"
    click.echo(f"{click.style(where, bold=True)}  {clock} {_minute(status.now)} UTC\n")
    if not status.endpoints:
        click.echo("No endpoint is live. 'tidegate endpoints deploy NAME MODEL/NUMBER' makes one; "
                   "'tidegate demo' shows a whole one.")  # fmt: skip
        return
    print_table([_row(each) for each in status.endpoints])
    click.echo("")
    for each in status.endpoints:
        sign, colour = _SIGNS[each.health]
        click.echo(f"{click.style(sign, fg=colour)} {click.style(each.endpoint, bold=True)}  {_verdict(each)}")


def _row(each: EndpointStatus) -> dict[str, object]:
    return {
        "endpoint": each.endpoint,
        "live": each.model,
        "since": _minute(each.deployed_at),
        "predictions": each.predictions,
        "labels": each.labels,
        "p50": _milliseconds(each.latency_p50_ms),
        "p95": _milliseconds(each.latency_p95_ms),
        "quality": _figure(each.quality) if each.quality else None,
        "traffic": _bars([float(count) for count in each.volume[-_LATEST:]]),
    }


def _verdict(each: EndpointStatus) -> str:
    """What is known, and of which window: a figure is only as new as the labels are."""
    if each.health == "attention":
        return each.reason
    if each.quality is None:
        counted = "no prediction has been counted ('tidegate tick' counts where no server runs)"
        return f"not known yet: {'too few labels have arrived' if each.predictions else counted}"
    measure = each.quality
    return f"{_figure(measure)} on {measure.labels:,} labels, from {_minute(measure.start)} to {_minute(measure.end)}"


def _figure(measure: Measure) -> str:
    bounds = (
        f" ({measure.low:.3g} to {measure.high:.3g})" if measure.low is not None and measure.high is not None else ""
    )
    return f"{measure.metric} {measure.value:.3g}{bounds}"


def _bars(values: list[float]) -> str:
    most = max(values, default=0.0)
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in values) if most else ""


def _milliseconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g} ms"


def _minute(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
