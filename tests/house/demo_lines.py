"""The lines that the demo's code can tell, as patterns, and those that a page shows of it."""

import ast
import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.house.source import PACKAGE, python_files, tree_of
from tidegate.demo.telling import _MARKS, _WIDTH

SIGNS = {sign for sign, _, _ in _MARKS.values()}
_BY_ATTRIBUTE = {"version": r"[\w.-]+/\d+", "reference": r"[\w.-]+/\d+", "column": r"\w+"}
_DATE = r"\d\d [A-Z][a-z]+"
_NUMBER = r"[-+]?[\d,.]+%?"
_ANYTHING = r".+"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Told(NamedTuple):
    """A line as it is told: its sign (empty for a chapter and a plain line), and its text or the pattern of it."""

    sign: str
    text: str


def shown_lines(block: str) -> Iterator[Told]:
    """The lines of the demo's output, each wrapped one whole again: it goes on where the next word found no room."""
    sign, text, last = "", "", ""
    for line in [*block.splitlines(), ""]:
        word = line.strip().partition(" ")[0]
        if sign and line.startswith("    ") and len(last) + 1 + len(word) > _WIDTH:
            text += " " + line.strip()
        else:
            if text:
                yield Told(sign, text)
            sign = line[2:3] if line[2:3] in SIGNS else ""
            text = line.strip().removeprefix(sign).strip()
        last = line


@functools.cache
def known_lines() -> list[Told]:
    """A pattern for every line that the demo's code tells, as far as it is spelt out there."""
    found = []
    for path in python_files(PACKAGE / "demo"):
        module = tree_of(path)
        functions = {node.name: node for node in ast.walk(module) if isinstance(node, Function)}
        for function in functions.values():
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and _is_say(call.func) and len(call.args) == 2:
                    text = _Spelling(function, functions).pattern(call.args[1])
                    found += [Told(_sign(mark), text) for mark in _words(call.args[0], function)]
            if function.name in ("closing", "months_table"):
                found += [Told("", _Spelling(function, functions).pattern(each)) for each in _texts(function)]
    return [each for each in found if each.text != _ANYTHING]


def _is_say(name: ast.expr) -> bool:
    return (name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")) in ("say", "_say")


def _sign(mark: str) -> str:
    return _MARKS[mark][0] if mark in _MARKS else ""


def _words(node: ast.expr, function: Function) -> list[str]:
    """The marks that an expression may stand for."""
    if isinstance(node, ast.Name):
        return [word for value in _assigned(node.id, function) for word in _words(value, function)]
    if isinstance(node, ast.IfExp):
        return _words(node.body, function) + _words(node.orelse, function)
    return [str(node.value)] if isinstance(node, ast.Constant) else []


def _assigned(name: str, function: Function) -> list[ast.expr]:
    """What a function assigns to a local name."""
    found = []
    for node in ast.walk(function):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(each, ast.Name) and each.id == name for each in targets):
            found.append(node.value)  # type: ignore[attr-defined]
    return found


def _texts(function: Function) -> list[ast.expr]:
    """The texts of a function whose lines are put together in a list, or returned."""
    lists = [each for node in ast.walk(function) if isinstance(node, ast.List) for each in node.elts]
    added = [node.args[0] for node in ast.walk(function) if isinstance(node, ast.Call) and _ends(node.func, "append")]
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    return [each for each in (*lists, *added, *returned) if isinstance(each, ast.JoinedStr | ast.Constant)]


def _ends(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name


class _Spelling:
    """Turns an expression of a function into the pattern of its text."""

    def __init__(self, function: Function, functions: dict[str, Function]) -> None:
        self._function = function
        self._functions = functions

    def pattern(self, node: ast.expr) -> str:
        """What is spelt out as it is; whatever is filled in as loosely as need be."""
        match node:
            case ast.Constant(value=str(text)):
                return re.escape(text)
            case ast.JoinedStr(values=values):
                return "".join(map(self.pattern, values))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.pattern(left) + self.pattern(right)
            case ast.IfExp(body=body, orelse=orelse):
                return f"({self.pattern(body)}|{self.pattern(orelse)})"
            case ast.FormattedValue(value=value, format_spec=ast.JoinedStr(values=[ast.Constant(value=str(form))])):
                return _DATE if "%B" in form else _NUMBER
            case ast.FormattedValue(value=value):
                return self.pattern(value)
            case ast.Attribute(attr=name) if name in _BY_ATTRIBUTE:
                return _BY_ATTRIBUTE[name]
            case ast.Name(id=name):
                spelt = [self.pattern(each) for each in _assigned(name, self._function)]
                return f"({'|'.join(spelt)})" if spelt else _ANYTHING
            case ast.Call(
                func=ast.Attribute(value=ast.Constant(value=str(comma)), attr="join"), args=[ast.Call() as many]
            ):
                one = self._each(many)
                return f"{one}({re.escape(comma)}{one})*"
        return _ANYTHING

    def _each(self, many: ast.Call) -> str:
        """The pattern of what a function that is mapped answers."""
        name = many.args[0].id if many.args and isinstance(many.args[0], ast.Name) else ""
        if name not in self._functions:
            return _ANYTHING
        spelling = _Spelling(self._functions[name], self._functions)
        return f"({'|'.join(map(spelling.pattern, _texts(self._functions[name])))})"
