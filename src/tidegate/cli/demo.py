"""`tidegate demo`: the whole loop on real flights, told step by step."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tidegate.cli.shared import common_options

if TYPE_CHECKING:
    from tidegate.demo.report import DemoReport
    from tidegate.demo.telling import Mark


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server and its home for you to look at.")
@click.option("--fast", is_flag=True, help="A shorter stretch of the year, with as many flights a day.")
def demo(keep: bool, fast: bool, json_output: bool, home: str | None) -> None:
    """A year of real flights: the whole loop runs by itself, through two kills of the server.

    Learns from January to March, then serves every flight of April to December over HTTP, watches itself, trains anew,
    and stops a bad candidate. Exits with 1 when an acknowledged prediction or label is lost or doubled, or when
    something goes through that must not. Without --home or --keep, what it made is removed again.
    """
    from tidegate.loop.threads import PATIENT

    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)  # before any library is loaded: the demo's processes share the cores
    from tidegate.demo.plan import FAST, FULL
    from tidegate.demo.story import run_demo

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped then, too
    folder = Path(home) if home else Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    try:
        plan = FAST if fast else FULL
        if json_output:
            report = run_demo(folder.absolute(), plan, _silent, _silent_progress, keep=keep)
        else:
            with _Bar() as bar:
                report = run_demo(folder.absolute(), plan, bar.say, bar.show, keep=keep)
    except (KeyboardInterrupt, SystemExit):
        if not home:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception:
        if folder.is_dir():
            click.echo(f"what there is, is left in {folder}", err=True)
        raise
    if not home and not keep:
        shutil.rmtree(folder)
        report = msgspec.structs.replace(report, home="")
    _close(report, json_output, keep)
    sys.exit(0 if report.held else 1)


def _close(report: "DemoReport", json_output: bool, keep: bool) -> None:
    from tidegate.demo.report import DemoReport
    from tidegate.demo.telling import addresses, closing
    from tidegate.kernel import wire

    if not keep:
        report = msgspec.structs.replace(report, pid=0)
    if json_output:
        click.echo(wire.encode(report, DemoReport))
        return
    click.echo(f"\n{click.style(closing(report), bold=True)}")
    click.echo("Three addresses to look at:" if keep else "With --keep the server stays up, to be looked at:")
    click.echo(addresses(report.url if keep else "/"))
    if keep:
        click.echo(f"Stop the server with: kill {report.pid}")
        click.echo(f"Ask the home: tidegate status --home {report.home}")


class _Bar:
    """Tells what happens, on a terminal above a bar that shows how many days are done."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._shown = ""

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_error: object) -> None:
        self._clear()

    def say(self, mark: "Mark", text: str) -> None:
        """One step, as lines."""
        from tidegate.demo.telling import line_of

        self._clear()
        click.echo(line_of(mark, text, _paint, unicode="utf" in (sys.stdout.encoding or "").lower()))
        self._draw()

    def show(self, done: int, days: int) -> None:
        """How far the year is. A pipe gets no bar, and at the end of the year it is gone."""
        self._clear()
        filled = "#" * (30 * done // days)
        self._shown = f"  [{filled:<30}] day {done} of {days}" if done < days else ""
        self._draw()

    def _draw(self) -> None:
        if self._live and self._shown:
            click.echo(f"\r\x1b[2K{self._shown}", nl=False)

    def _clear(self) -> None:
        if self._live and self._shown:
            click.echo("\r\x1b[2K", nl=False)


def _silent(_mark: "Mark", _text: str) -> None:
    return


def _silent_progress(_done: int, _days: int) -> None:
    return


def _paint(text: str, colour: str) -> str:
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)


common_options(demo)
