"""What all commands share: their common options, and opening the home."""

from typing import TYPE_CHECKING

import click

from tidegate.kernel.errors import NotFound

if TYPE_CHECKING:
    from tidegate.workspace import Workspace


def common_options(command: click.Command) -> click.Command:
    """Add ``--json`` and ``--home``."""
    command.params += [
        click.Option(["--json", "json_output"], is_flag=True, help="Print the answer as one JSON object."),
        click.Option(["--home"], metavar="DIR", help="The home; else TIDEGATE_HOME, or the nearest .tidegate upwards."),
    ]
    return command


def opened(home: str | None, *, makes: bool = False) -> "Workspace":
    """The home that this command works on: the server where TIDEGATE_URL is set, else the folder.

    Raises `NotFound` where there is none, unless the command ``makes`` one.
    """
    from tidegate.cli.faults import shorten_log
    from tidegate.kernel.settings import find_home, resolve
    from tidegate.storage.opening import check_whole
    from tidegate.workspace import open_workspace

    shorten_log()
    settings = resolve({"home": home}).settings
    folder = find_home(settings)
    if not makes and not settings.catalog and (home is not None or not settings.url):
        check_whole(settings, folder)
        if not (folder / "catalog.db").exists():
            raise NotFound(
                f"there is no home at {folder}: name another with --home, or make one with a command that writes, "
                "such as 'tidegate data commit NAME FILE' or 'tidegate serve'",
                home=str(folder),
            )
    return open_workspace(home)
