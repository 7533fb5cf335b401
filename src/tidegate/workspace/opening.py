"""`tg.open`: a home in a folder, or a server by its address."""

from pathlib import Path
from typing import Any

from tidegate.kernel.dispatch import Meter
from tidegate.kernel.errors import Invalid
from tidegate.kernel.settings import Settings, find_home, resolve
from tidegate.workspace.local import LocalWorkspace, Part
from tidegate.workspace.remote import RemoteWorkspace
from tidegate.workspace.rooms import Workspace


def open_workspace(
    home: str | Path | None = None, *, simulated_clock: bool | None = None, **arguments: Any
) -> Workspace:
    """Open a home: a folder (made where there is none), or a server's address.

    Without arguments: ``TIDEGATE_URL``, else the nearest ``.tidegate`` upwards, else ``.tidegate`` here. Further
    arguments are settings: ``actor=``, ``token=``, ``catalog=``, … A folder belongs to whoever may write it, so
    ``actor=`` is believed there; a server wants a token. ``simulated_clock=True`` makes a home whose business time
    only moves when it is told to. Raises `Invalid` for what is not a home or a setting.
    """
    text = str(home) if home is not None else None
    if text is not None and "://" in text:
        arguments["url"] = text
    elif text is not None:
        arguments |= {"home": text, "url": ""}
    settings = resolve(arguments).settings
    if settings.url:
        if simulated_clock is not None:
            raise Invalid("the clock belongs to the home: the server's home decided it when it was made")
        if not settings.url.startswith(("http://", "https://")):
            raise Invalid(f"{settings.url!r} is not the address of a server: it begins with http:// or https://")
        from tidegate.client.objects import RemoteObjects
        from tidegate.client.transport import HttpTransport

        transport = HttpTransport(settings.url, settings.token)
        return RemoteWorkspace(transport, RemoteObjects(transport), transport.close)
    return open_local(settings, simulated_clock)


def open_local(
    settings: Settings,
    simulated_clock: bool | None = None,
    meter: Meter | None = None,
    *,
    part: Part = "whole",
) -> LocalWorkspace:
    """Open the home that the settings name, in this process; ``part`` in one that `tidegate serve` started."""
    return LocalWorkspace(settings, find_home(settings), simulated_clock, meter, part=part)
