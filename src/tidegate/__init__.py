"""Tidegate takes a machine-learning model from the notebook into production and keeps it right there.

    import tidegate as tg
    ws = tg.open()

Names are loaded when they are first used, so that ``import tidegate`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.kernel.errors import (
        AlreadyExists,
        Conflict,
        Forbidden,
        Internal,
        Invalid,
        NotFound,
        Refused,
        TidegateError,
        Unauthenticated,
        Unavailable,
    )
    from tidegate.pipelines.records import Wait
    from tidegate.pipelines.running import StepContext
    from tidegate.workspace import Workspace
    from tidegate.workspace import open_workspace as open

_ERRORS = "tidegate.kernel.errors"
_HOMES = {
    "AlreadyExists": _ERRORS,
    "Conflict": _ERRORS,
    "Forbidden": _ERRORS,
    "Internal": _ERRORS,
    "Invalid": _ERRORS,
    "NotFound": _ERRORS,
    "Refused": _ERRORS,
    "StepContext": "tidegate.pipelines.running",
    "TidegateError": _ERRORS,
    "Unauthenticated": _ERRORS,
    "Unavailable": _ERRORS,
    "Wait": "tidegate.pipelines.records",
    "Workspace": "tidegate.workspace",
    "open": "tidegate.workspace:open_workspace",
}

__all__ = [
    "AlreadyExists",
    "Conflict",
    "Forbidden",
    "Internal",
    "Invalid",
    "NotFound",
    "Refused",
    "StepContext",
    "TidegateError",
    "Unauthenticated",
    "Unavailable",
    "Wait",
    "Workspace",
    "open",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tidegate' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    found = getattr(import_module(module), attribute or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
