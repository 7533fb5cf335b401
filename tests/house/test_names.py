"""House rules on names and modules: no catch-alls, `__init__.py` without code, no banners, no work without an issue."""

import ast
import re
from pathlib import PurePosixPath

import pytest

from tests.house.source import all_files, package_files, shown, text_of, tree_of

CATCH_ALL = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc|impl|handlers?)(_|$)|^base_")
BANNER = re.compile(r"^\s*#\s*[#=*~─-]{4,}")
LICENCE = re.compile(r"^#.*(copyright|licen[cs]e|SPDX)", re.IGNORECASE)
MARKS = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"))
UNFINISHED = re.compile(rf"#.*\b({MARKS})\b(?!\(#\d+\))")


def bad_path(path: str) -> list[str]:
    """Names in the path that say nothing."""
    parts = PurePosixPath(path).with_suffix("").parts
    return [f"{path}: {part!r} says nothing; name the noun" for part in parts if CATCH_ALL.search(part)]


def bad_lines(text: str, name: str) -> list[str]:
    """Section banners, licence headers, work without an issue."""
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        if BANNER.search(line):
            faults.append(f"{name}:{number}: a section banner; make it a file of its own")
        if LICENCE.search(line):
            faults.append(f"{name}:{number}: a licence header; LICENSE says it once")
        if UNFINISHED.search(line):
            faults.append(f"{name}:{number}: unfinished work without the number of its issue")
    return faults


def code_in_init(tree: ast.Module, name: str) -> list[str]:
    """Statements of an `__init__.py` that are neither docstring, re-export nor the lazy loading of names."""
    faults = []
    for node in tree.body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        export = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.If)
        lazy = isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
        if not (text or export or lazy):
            faults.append(f"{name}:{node.lineno}: code in an __init__.py; it holds a docstring and re-exports")
    return faults


def test_names_are_nouns_of_the_field() -> None:
    faults = [fault for path in package_files() for fault in bad_path(shown(path))]
    assert not faults, "\n".join(faults)


def test_no_banner_no_licence_header_no_loose_todo() -> None:
    faults = [fault for path in all_files() for fault in bad_lines(text_of(path), shown(path))]
    assert not faults, "\n".join(faults)


def test_init_files_hold_no_code() -> None:
    inits = [path for path in package_files() if path.name == "__init__.py"]
    faults = [fault for path in inits for fault in code_in_init(tree_of(path), shown(path))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", ["a/utils.py", "common/x.py", "a/run_helpers.py", "base_store.py", "a/impl.py"])
def test_the_rule_sees_a_catch_all(path: str) -> None:
    assert len(bad_path(path)) == 1


def test_the_rule_sees_bad_lines() -> None:
    mark = "TO" + "DO"
    sample = f"# {'-' * 20}\n# Copy{'right'} 2026\nx = 1  # {mark} later\ny = 2  # {mark}(#12) later\n"
    assert [fault.split(":")[1] for fault in bad_lines(sample, "sample.py")] == ["1", "2", "3"]


def test_the_rule_sees_code_in_an_init() -> None:
    sample = '"""Doc."""\nfrom a import b\n__all__ = ["b"]\ndef __getattr__(name): ...\ndef work(): ...\nprint(1)\n'
    assert [fault.split(":")[1] for fault in code_in_init(ast.parse(sample), "__init__.py")] == ["5", "6"]
