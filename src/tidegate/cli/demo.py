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

from tidegate.cli.serve import PINNED_THREADS
from tidegate.cli.shared import common_options

if TYPE_CHECKING:
    from tidegate.demo.report import DemoReport
    from tidegate.demo.telling import Mark


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server and its home for you to look at.")
def demo(keep: bool, json_output: bool, home: str | None) -> None:
    """From raw data to a monitored answer, on real flights, through two kills of the server.

    Trains on 5,000 flights, checks on 2,000, serves 1,000 more over HTTP. Exits with 1 when an acknowledged prediction
    or label is lost or doubled. Without --home or --keep, what it made is removed again.
    """
    for name, value in PINNED_THREADS.items():
        os.environ.setdefault(name, value)  # before any library counts the cores: the demo's processes share them
    from tidegate.demo.story import run_demo

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped then, too
    folder = Path(home) if home else Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    try:
        report = run_demo(folder.absolute(), _silent if json_output else _say, keep=keep)
    except (KeyboardInterrupt, SystemExit):
        if not home:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception:
        click.echo(f"what there is, is left in {folder}", err=True)
        raise
    if not home and not keep:
        shutil.rmtree(folder)
        report = msgspec.structs.replace(report, home="")
    _close(report, json_output, keep)
    sys.exit(0 if report.held else 1)


def _close(report: "DemoReport", json_output: bool, keep: bool) -> None:
    from tidegate.demo.report import DemoReport
    from tidegate.demo.telling import closing
    from tidegate.kernel import wire

    if not keep:
        report = msgspec.structs.replace(report, pid=0)
    if json_output:
        click.echo(wire.encode(report, DemoReport))
        return
    click.echo(f"\n{click.style(closing(report), bold=True)}")
    if keep:
        click.echo(f"The status page is at {report.url}; stop the server with: kill {report.pid}")
        click.echo(f"Ask the home: tidegate status --home {report.home}")


def _say(mark: "Mark", text: str) -> None:
    from tidegate.demo.telling import line_of

    click.echo(line_of(mark, text, _paint, unicode="utf" in (sys.stdout.encoding or "").lower()))


def _silent(_mark: "Mark", _text: str) -> None:
    return


def _paint(text: str, colour: str) -> str:
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)


common_options(demo)
