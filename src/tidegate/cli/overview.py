"""How `tidegate status` reads: one line an endpoint, and below it what ought to be looked at and what goes on."""

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from tidegate.cli.printing import print_table
from tidegate.incidents.records import Incident
from tidegate.loop import wording
from tidegate.loop.records import EndpointStatus, Health, Measure, Status

_SIGNS: dict[Health, tuple[str, str]] = {"good": ("●", "green"), "waiting": ("○", "blue"), "attention": ("▲", "red")}
_BARS = "▁▂▃▄▅▆▇█"
_LATEST = 24
"""So many windows are drawn."""
_FIRST = 6
"""So many incidents, and so many columns that changed, are named."""


def print_status(status: Status, where: str) -> None:
    """The state of every endpoint."""
    clock = "simulated time" if status.simulated_clock else "now"
    click.echo(f"{click.style(where, bold=True)}  {clock} {_minute(status.now)} UTC\n")
    for line in _incidents(status.incidents):
        click.echo(line)
    if not status.endpoints:
        click.echo("No endpoint is live. 'tidegate endpoints deploy NAME MODEL/NUMBER' makes one; "
                   "'tidegate demo' shows a whole one.")  # fmt: skip
        return
    print_table([_row(each) for each in status.endpoints])
    click.echo("")
    for each in status.endpoints:
        sign, colour = _SIGNS[each.health]
        click.echo(f"{click.style(sign, fg=colour)} {click.style(each.endpoint, bold=True)}  {_verdict(each)}")
        for line in [*_incidents(each.incidents), *_goings_on(each)]:
            click.echo(f"  {line}")


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
    if each.reason:
        return each.reason
    if each.quality is None:
        counted = "no prediction has been counted ('tidegate tick' counts where no server runs)"
        return f"not known yet: {'too few labels have arrived' if each.predictions else counted}"
    measure = each.quality
    return f"{_figure(measure)} on {measure.labels:,} labels, from {_minute(measure.start)} to {_minute(measure.end)}"


def _incidents(incidents: tuple[Incident, ...]) -> Iterator[str]:
    """Two lines an incident: what it is, and what to do."""
    for each in incidents[:_FIRST]:
        seen = f"acknowledged by {each.acknowledged_by}" if each.state == "acknowledged" else "not acknowledged"
        title = click.style(_plain(each.title), fg="red" if each.severity == "critical" else "yellow")
        yield f"incident {each.id}  {title}  ({each.severity}, since {_minute(each.opened_at)}, {_plain(seen)})"
        yield f"  to do: {_plain(each.what_to_do)}"
    if len(incidents) > _FIRST:
        yield f"and {len(incidents) - _FIRST:,} more incidents: 'tidegate incidents list' shows them"


def _goings_on(each: EndpointStatus) -> Iterator[str]:
    """What is on its way, and what was decided last."""
    if each.canary is not None:
        canary = each.canary
        seen = f"{canary.rows:,} rows, {canary.labels:,} labels"
        yield f"canary {canary.version} answers {canary.share:g} %, {seen}: {_plain(canary.waits_for)}"
    if each.last_rollout is not None:
        yield f"last rollout: {_plain(wording.decided(each.last_rollout))}"
    if each.shadows:
        yield f"in the shadow: {', '.join(each.shadows)}"
    if each.episodes:
        yield f"changed: {_episodes(each)}"
    if each.retraining is not None:
        yield f"retraining: {_plain(wording.retrained(each.retraining))}"


def _episodes(each: EndpointStatus) -> str:
    told = [
        f"{_plain(wording.changed(one))} since {wording.day(one.opened)}"
        + (" (incident)" if one.severity == "incident" else "")
        for one in wording.by_weight(each.episodes)
    ]
    more = f" and {len(told) - _FIRST} more" if len(told) > _FIRST else ""
    return ", ".join(told[:_FIRST]) + more


def _plain(text: str) -> str:
    """A text by a user on one line, without what would steer the terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


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
