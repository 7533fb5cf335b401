"""Tidegate takes a machine-learning model from the notebook into production and keeps it right there.

    import tidegate as tg
    ws = tg.open()

Names are loaded when they are first used, so that ``import tidegate`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.endpoints.strategies import canary, shadow
    from tidegate.features.definitions import (
        Boolean,
        Float64,
        Int64,
        Text,
        count,
        feature_service,
        feature_view,
        mean,
    )
    from tidegate.features.definitions import maximum as max
    from tidegate.features.definitions import minimum as min
    from tidegate.features.definitions import total as sum
    from tidegate.features.expressions import col
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
_FEATURES = "tidegate.features.definitions"
_HOMES = {
    "AlreadyExists": _ERRORS,
    "Boolean": _FEATURES,
    "Conflict": _ERRORS,
    "Float64": _FEATURES,
    "Forbidden": _ERRORS,
    "Int64": _FEATURES,
    "Internal": _ERRORS,
    "Invalid": _ERRORS,
    "NotFound": _ERRORS,
    "Refused": _ERRORS,
    "StepContext": "tidegate.pipelines.running",
    "Text": _FEATURES,
    "TidegateError": _ERRORS,
    "Unauthenticated": _ERRORS,
    "Unavailable": _ERRORS,
    "Wait": "tidegate.pipelines.records",
    "Workspace": "tidegate.workspace",
    "canary": "tidegate.endpoints.strategies",
    "col": "tidegate.features.expressions",
    "count": _FEATURES,
    "feature_service": _FEATURES,
    "feature_view": _FEATURES,
    "max": "tidegate.features.definitions:maximum",
    "mean": _FEATURES,
    "min": "tidegate.features.definitions:minimum",
    "open": "tidegate.workspace:open_workspace",
    "shadow": "tidegate.endpoints.strategies",
    "sum": "tidegate.features.definitions:total",
}

__all__ = [
    "AlreadyExists",
    "Boolean",
    "Conflict",
    "Float64",
    "Forbidden",
    "Int64",
    "Internal",
    "Invalid",
    "NotFound",
    "Refused",
    "StepContext",
    "Text",
    "TidegateError",
    "Unauthenticated",
    "Unavailable",
    "Wait",
    "Workspace",
    "canary",
    "col",
    "count",
    "feature_service",
    "feature_view",
    "max",
    "mean",
    "min",
    "open",
    "shadow",
    "sum",
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
