"""The exact versions of the packages that a model was made with."""

from importlib.metadata import PackageNotFoundError, version


def pinned(*names: str) -> str:
    """Those of the packages that are installed, by name: ``numpy==2.4.6 skops==0.16.0``."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return " ".join(f"{name}=={found[name]}" for name in sorted(found))
