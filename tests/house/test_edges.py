"""House rule: only at the edges, where a stranger's fault must not stop us, is everything caught and swallowed."""

import ast

from tests.house.source import package_files, shown, tree_of

EDGES = {
    "src/tidegate/cli/main.py": "a fault becomes one line and exit code 1; its traceback is kept in a file",
    "src/tidegate/compat/inference/routes.py": "a fault becomes the protocol's own error; it is logged",
    "src/tidegate/compat/mlflow/routes.py": "a fault becomes the protocol's own error; it is logged",
    "src/tidegate/endpoints/asgi.py": "a fault becomes an answer in the one form; it is logged",
    "src/tidegate/endpoints/routing.py": "one model's fault must not stop the watcher; it is logged and tried again",
    "src/tidegate/endpoints/splitting.py": "a model on trial must not harm an answer; its fault is logged and counted",
    "src/tidegate/http/routes.py": "a fault becomes an answer in the one form; it is logged",
    "src/tidegate/loop/controllers.py": "one controller's fault must not stop the others; it is logged and tried again",
    "src/tidegate/models/pyfunc/runner.py": "in a process of its own: whatever a model raises is its answer",
    "src/tidegate/pipelines/running.py": "a fault in a step, which is a user's function, fails its run; it is logged",
    "src/tidegate/storage/catalog/catalog.py": "one write's error goes back to its caller, not to the group",
}
WIDE = {"Exception", "BaseException"}


def swallowed(tree: ast.Module, name: str) -> list[str]:
    """Handlers that catch everything and do not end by raising."""
    faults = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_wide(node.type) and not isinstance(node.body[-1], ast.Raise):
            faults.append(f"{name}:{node.lineno}: catches everything and goes on; name what may fail here")
    return faults


def _is_wide(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(isinstance(one, ast.Name) and one.id in WIDE for one in kinds)


def test_only_the_edges_catch_everything() -> None:
    faults = [
        fault for path in package_files() if shown(path) not in EDGES for fault in swallowed(tree_of(path), shown(path))
    ]
    assert not faults, "\n".join(faults)


def test_the_rule_sees_a_swallowed_exception() -> None:
    sample = """
try: ...
except Exception as error: log(error)
try: ...
except: pass
try: ...
except (KeyError, BaseException): pass
try: ...
except BaseException:
    undo()
    raise
try: ...
except KeyError: pass
"""
    assert [fault.split(":")[1] for fault in swallowed(ast.parse(sample), "sample.py")] == ["3", "5", "7"]


def test_every_edge_is_still_one() -> None:
    files = {shown(path): path for path in package_files()}
    gone = [name for name in EDGES if name not in files or not swallowed(tree_of(files[name]), name)]
    assert not gone, f"no longer an edge: {', '.join(gone)}"
