"""The project's own files as the house rules see them: paths, texts, syntax trees."""

import ast
import functools
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tidegate"


def python_files(*folders: Path) -> list[Path]:
    """Every Python file of ours in these folders, in order; foreign environments are left out."""
    found: list[Path] = []
    for folder, below, names in (step for top in folders for step in os.walk(top)):
        below[:] = [name for name in below if not name.startswith(".")]  # an environment has ten thousands of files
        found += [Path(folder) / name for name in names if name.endswith(".py") and not name.startswith(".")]
    return sorted(found)


def package_files() -> list[Path]:
    """The package's own modules."""
    files = python_files(PACKAGE)
    assert len(files) > 10, "the package was not found, so nothing would be checked"
    return files


def all_files() -> list[Path]:
    """Package, tests, tools and benchmarks."""
    return package_files() + python_files(ROOT / "tests", ROOT / "tools", ROOT / "benchmarks")


@functools.cache
def text_of(path: Path) -> str:
    """The file's text."""
    return path.read_text(encoding="utf-8")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(text_of(path), str(path))


def shown(path: Path) -> str:
    """The path as a complaint names it."""
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    """The room that a module of the package belongs to; a module beside the rooms is its own."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(tree: ast.Module) -> dict[str, str]:
    """What each local name stands for: `{"dt": "datetime.datetime"}` after `from datetime import datetime as dt`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                names[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def imported_modules(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}"


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """The full dotted name that an expression stands for, or the empty text."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *reversed(parts)])
