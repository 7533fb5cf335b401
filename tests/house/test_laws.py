"""House rule: the laws of a contract are numbered in its docstring, without a gap, and a test names each number."""

import ast
import re
from pathlib import Path

from tests.house.source import PACKAGE, ROOT, package_files, python_files, shown, text_of, tree_of

HEADING = re.compile(r"^ *(?:Laws|The laws|Further laws)\b.*?[:.]", re.MULTILINE | re.DOTALL)
LAW = re.compile(r"^ *(\d+)\. (?=[A-Z*`])|\((\d+)\) ", re.MULTILINE)
TESTED = re.compile(r"def test_laws?_(?P<numbers>\d+(?:_and_\d+|_\d+)*)_")
CONTRACTS = 4


def laws_of(tree: ast.Module) -> list[int]:
    """The numbers of the laws in the docstrings of a module and its classes."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef))
    found: set[int] = set()
    for text in (ast.get_docstring(node) or "" for node in nodes):
        if heading := HEADING.search(text):
            found |= {int(one or other) for one, other in LAW.findall(text, heading.start())}
    return sorted(found)


def laws_named_by_tests(texts: list[str]) -> set[int]:
    """The numbers that the names of tests speak of."""
    named = (match["numbers"] for text in texts for match in TESTED.finditer(text))
    return {int(number) for numbers in named for number in re.findall(r"\d+", numbers)}


def suites_of(module: Path) -> list[Path]:
    """The conformance suites of a module: files of tests and of `testing` that carry its name or its folder's."""
    subjects = "|".join({module.stem.rstrip("s"), module.parent.name.rstrip("s")} - {"__init__"})
    files = python_files(ROOT / "tests", PACKAGE / "testing")
    return [path for path in files if path != module and re.search(rf"(^|_)({subjects})s?(_|$)", path.stem)]


def test_every_law_has_a_test() -> None:
    declared = {path: laws_of(tree_of(path)) for path in package_files()}
    declared = {path: laws for path, laws in declared.items() if laws}
    assert len(declared) >= CONTRACTS
    for path, laws in declared.items():
        assert laws == list(range(1, len(laws) + 1)), f"{shown(path)}: the laws are numbered {laws}"
        missing = set(laws) - laws_named_by_tests([text_of(suite) for suite in suites_of(path)])
        assert not missing, f"{shown(path)}: no test named test_law_N_… for {sorted(missing)}"


def test_the_rule_sees_a_law_without_a_test() -> None:
    store = "A store.\n\n    Laws:\n\n    1. One is\n    done.\n    2. **Two.** b\n    12. Twelve.\n"
    tree = ast.parse(f'"""Laws: (3) a, not (by now) b; (4) c."""\nclass Store:\n    """{store}    """\n')
    assert laws_of(tree) == [1, 2, 3, 4, 12]
    named = laws_named_by_tests(["def test_law_1_and_12_hold() -> None: ...\n", "def test_laws_two() -> None: ..."])
    assert named == {1, 12}
