"""Empty catalogs for tests, copied rather than made: making one takes longer than most of what is tested on it."""

import functools
import tempfile
from pathlib import Path


def place_catalog(home: Path) -> None:
    """Put an empty SQLite catalog into a home that has none; the folder is made where it is missing."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (home / "catalog.db").exists():
        (home / "catalog.db").write_bytes(_empty())


@functools.cache
def _empty() -> bytes:
    import tidegate.workspace  # noqa: F401 - a catalog is made with the tables that are known by then
    from tidegate.storage.catalog import open_catalog

    with tempfile.TemporaryDirectory() as folder:
        open_catalog("", Path(folder)).close()
        return (Path(folder) / "catalog.db").read_bytes()
