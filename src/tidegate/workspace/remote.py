"""The same rooms with their operations on the far side of a wire."""

from collections.abc import Callable

from tidegate.kernel.dispatch import RemoteInvoker, Transport
from tidegate.kernel.objects import ObjectPlane
from tidegate.workspace.rooms import SERVICES, Workspace, equip


class RemoteWorkspace(Workspace):
    """Services with nothing behind them but a transport and the object plane."""

    def __init__(self, transport: Transport, objects: ObjectPlane, close: Callable[[], None] | None = None) -> None:
        super().__init__({room: object.__new__(kind) for room, kind in SERVICES.items()}, objects)
        equip(self.services, RemoteInvoker(transport), objects)
        self._close = close

    def close(self) -> None:
        """Close the connections to the server."""
        if self._close is not None:
            self._close()
