"""Counts over the code: the places that one operation touches, the tests that call it, mentions of mocks per test."""

import ast
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
    return Mentions(sum(map(tests_in, map(text_of, files))), sum(map(mocks_in, map(text_of, files))))


def tests_in(text: str) -> int:
    """Test functions in a file's text."""
    return len(re.findall(r"^\s*(?:async )?def test_", text, re.MULTILINE))


def mocks_in(text: str) -> int:
    """Mentions of mocks in a file's text."""
    return len(MOCK.findall(text))


def places(operation: Operation, files: Iterable[Path] | None = None) -> list[str]:
    """Where the operation is written by hand: its method, a query of that name, whatever repeats its name or path."""
    found = []
    for path in python_files(PACKAGE) if files is None else files:
        if path in GENERATED:
            continue
        own_room = path.parent.name == operation.room
        for node in ast.walk(tree_of(path)):
            defined = own_room and isinstance(node, ast.FunctionDef) and node.name == operation.name
            if (defined and not _is_stub(node)) or _repeats(node, operation):
                found.append(f"{shown(path)}:{getattr(node, 'lineno', 0)}")
    return found


def _is_stub(node: ast.AST) -> bool:
    body = getattr(node, "body", [])
    return isinstance(body[-1], ast.Expr) and isinstance(body[-1].value, ast.Constant) and body[-1].value.value is ...


def _repeats(node: ast.AST, operation: Operation) -> bool:
    return isinstance(node, ast.Constant) and node.value in (f"{operation.room}.{operation.name}", operation.path)


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
