"""Counts over the code: the places that one operation touches, the tests that call it, mentions of mocks per test."""

import ast
import functools
import inspect
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.house.source import PACKAGE, ROOT, python_files, shown, text_of, tree_of
from tidegate.kernel.operation import Operation

MOCK = re.compile(r"\b(?:unittest\.mock|MagicMock|AsyncMock|Mock\(|mocker|mock\.|patch\(|patch\.|monkeypatch\.setattr)")
GENERATED = {PACKAGE / "cli" / "index.py"}
"""Files that a tool writes and a test compares: nobody touches them by hand."""


class Mentions(msgspec.Struct, frozen=True):
    """How often tests speak of mocks."""

    tests: int
    mocks: int

    @property
    def per_test(self) -> float:
        """Mentions per test function."""
        return self.mocks / max(1, self.tests)


def mentions() -> Mentions:
    """Mock mentions and test functions of the suite; the house rules, which speak of mocks, are left out."""
    files = [path for path in python_files(ROOT / "tests") if "house" not in path.parts]
    return Mentions(sum(map(count_tests, map(text_of, files))), sum(map(count_mocks, map(text_of, files))))


def count_tests(text: str) -> int:
    """Test functions in a file's text."""
    return len(re.findall(r"^\s*(?:async )?def test_", text, re.MULTILINE))


def count_mocks(text: str) -> int:
    """Mentions of mocks in a file's text."""
    return len(MOCK.findall(text))


def places(operation: Operation) -> list[str]:
    """Where the operation is written by hand: its method, a query of that name, whatever repeats its name or path."""
    spellings = (f"{operation.room}.{operation.name}", operation.path)
    home = Path(inspect.getfile(operation.function)).parent
    found = []
    for path in _by_hand():
        methods, texts = _written(path)
        lines = [line for text in spellings for line in texts.get(text, ())]
        if path.parent == home:
            lines += methods.get(operation.name, ())
        found += [f"{shown(path)}:{line}" for line in sorted(lines)]
    return found


@functools.cache
def _by_hand() -> list[Path]:
    """The package's files: listed once, for each operation looks through all of them."""
    return [path for path in python_files(PACKAGE) if path not in GENERATED]


@functools.cache
def _written(path: Path) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Lines of a file's methods (stubs of Protocols left out) and of its texts, by name and by text: read once."""
    methods: dict[str, list[int]] = {}
    texts: dict[str, list[int]] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef) and not _is_stub(node):
            methods.setdefault(node.name, []).append(node.lineno)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.setdefault(node.value, []).append(node.lineno)
    return methods, texts


def _is_stub(node: ast.AST) -> bool:
    body = getattr(node, "body", [])
    return isinstance(body[-1], ast.Expr) and isinstance(body[-1].value, ast.Constant) and body[-1].value.value is ...


def called_in(tree: ast.Module, stem: str, rooms: Iterable[str]) -> set[tuple[str, str]]:
    """Calls in a test file, as (room, operation): `ws.models.promote()`, or `service.promote()` in test_models_x.py."""
    at_home = {room for room in rooms if re.search(rf"(^|_){room.rstrip('s')}", stem)}
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            found |= {(room, node.func.attr) for room in {name.lstrip("_"), *at_home}}
    return found
