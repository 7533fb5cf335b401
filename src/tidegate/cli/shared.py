"""What all commands share: their common options, and opening the home."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tidegate.workspace import Workspace


def common_options(command: click.Command) -> click.Command:
    """Add ``--json`` and ``--home``."""
    command.params += [
        click.Option(["--json", "json_output"], is_flag=True, help="Print the answer as one JSON object."),
        click.Option(["--home"], metavar="DIR", help="The home; else TIDEGATE_HOME, or the nearest .tidegate upwards."),
    ]
    return command


def opened(home: str | None) -> "Workspace":
    """The home that this command works on: the server where TIDEGATE_URL is set, else the folder."""
    from tidegate.cli.faults import shorten_log
    from tidegate.workspace import open_workspace

    shorten_log()
    return open_workspace(home)
