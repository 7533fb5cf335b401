"""Plug-ins, found by entry point; the built-in ones register the same way."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from tidegate.kernel.errors import Invalid, Unavailable


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def plugin_names(group: str) -> list[str]:
    """Names of the plug-ins in a group such as ``tidegate.formats``, without importing any."""
    return sorted(_points(group))


def load_plugin(group: str, name: str) -> object:
    """One plug-in. Raises `Invalid` for an unknown name, `Unavailable` when its extra is not installed."""
    point = _points(group).get(name)
    if point is None:
        known = ", ".join(plugin_names(group)) or "none"
        raise Invalid(f"there is no plug-in {name!r} in {group}; there are: {known}")
    try:
        return point.load()
    except ImportError as error:
        missing = error.name or str(error)
        raise Unavailable(f"plug-in {name!r} needs {missing}: pip install 'tidegate[{name}]'") from error


def load_plugins(group: str) -> dict[str, object]:
    """Every plug-in of a group by name."""
    return {name: load_plugin(group, name) for name in plugin_names(group)}
