"""The composition root: from settings to storage to services, in this process or on the far side of a wire."""

from tidegate.workspace.local import LocalWorkspace
from tidegate.workspace.opening import open_local, open_workspace
from tidegate.workspace.remote import RemoteWorkspace
from tidegate.workspace.rooms import SERVICES, Workspace

__all__ = ["SERVICES", "LocalWorkspace", "RemoteWorkspace", "Workspace", "open_local", "open_workspace"]
