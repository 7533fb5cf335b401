"""House rule: a file has at most 600 lines, a class 300, a function 60."""

import ast

from tests.house.source import all_files, shown, text_of, tree_of

FILE, CLASS, FUNCTION = 600, 300, 60


def too_long(tree: ast.Module, lines: int, name: str) -> list[str]:
    """What is longer than it may be."""
    faults = [f"{name}: {lines} lines, at most {FILE}"] if lines > FILE else []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            limit = CLASS if isinstance(node, ast.ClassDef) else FUNCTION
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > limit:
                faults.append(f"{name}:{node.lineno}: {node.name} has {length} lines, at most {limit}")
    return faults


def test_nothing_is_too_long() -> None:
    faults = [
        fault for path in all_files() for fault in too_long(tree_of(path), text_of(path).count("\n") + 1, shown(path))
    ]
    assert not faults, "\n".join(faults)


def test_the_rule_sees_a_long_function_class_and_file() -> None:
    body = "\n".join("    x = 1" for _ in range(CLASS + 1))
    sample = f"def long():\n{body}\n\nclass Long:\n{body}\n"
    faults = too_long(ast.parse(sample), FILE + 1, "sample.py")
    assert len(faults) == 3
    assert faults[0] == f"sample.py: {FILE + 1} lines, at most {FILE}"
    assert [fault.split()[1] for fault in faults[1:]] == ["long", "Long"]
