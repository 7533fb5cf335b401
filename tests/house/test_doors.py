"""House rule: what leaves the process, and every heavy library, has one door; the kernel and statistics have none."""

import ast
import sys

from tests.house.source import PACKAGE, imported_modules, package_files, tree_of

DOORS = {
    "httpx2": ("egress/", "client/", "demo/", "testing/"),
    "urllib.request": ("egress/",),
    "http.client": ("egress/", "client/", "demo/"),
    "requests": (),
    "psycopg": ("storage/",),
    "obstore": ("storage/",),
    "sklearn": ("models/formats/", "demo/"),
    "lightgbm": ("models/formats/",),
    "skl2onnx": ("models/formats/",),
    "skops": ("models/formats/",),
    "onnx": ("models/formats/",),
    "onnxruntime": ("models/formats/", "endpoints/"),
    "torch": ("models/formats/",),
    "xgboost": ("models/formats/",),
    "jinja2": ("http/",),
    "pickle": (),
    "cloudpickle": (),
    "joblib": (),
}
"""Who may import a module. Nobody unpickles: a pickle runs what its author wrote."""

ONLY = {
    "kernel": {"msgspec", "tidegate.kernel"},
    "statistics": {"numpy", "scipy.special", "tidegate.statistics"},
}
"""Rooms that import the standard library and these alone."""


def wrong_door(tree: ast.Module, place: str) -> list[str]:
    """Imports in the module at `place` (relative to the package) that belong elsewhere."""
    faults = []
    for line, name in imported_modules(tree):
        for module, doors in DOORS.items():
            if _within(name, module) and not place.startswith(doors or ("nowhere",)):
                faults.append(f"{place}:{line}: {module} may be imported in {', '.join(doors) or 'no room'} only")
    return faults


def not_allowed(tree: ast.Module, place: str) -> list[str]:
    """Imports of a room that keeps to the standard library and a few names."""
    allowed = ONLY[place.partition("/")[0]]
    return [
        f"{place}:{line}: {name}; this room imports the standard library, {', '.join(sorted(allowed))}"
        for line, name in imported_modules(tree)
        if name.partition(".")[0] not in sys.stdlib_module_names and not any(_within(name, one) for one in allowed)
    ]


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def test_each_library_has_its_door() -> None:
    faults = [
        fault for path in package_files() for fault in wrong_door(tree_of(path), path.relative_to(PACKAGE).as_posix())
    ]
    assert not faults, "\n".join(faults)


def test_kernel_and_statistics_stand_on_nothing() -> None:
    places = {path: path.relative_to(PACKAGE).as_posix() for path in package_files()}
    bare = {path: place for path, place in places.items() if place.partition("/")[0] in ONLY}
    assert {place.partition("/")[0] for place in bare.values()} == set(ONLY)
    faults = [fault for path, place in bare.items() for fault in not_allowed(tree_of(path), place)]
    assert not faults, "\n".join(faults)


def test_the_rule_sees_a_wrong_door() -> None:
    tree = ast.parse("import httpx2\nfrom urllib import request\nfrom urllib.parse import quote\nimport pickle\n")
    assert len(wrong_door(tree, "monitors/service.py")) == 3
    assert len(wrong_door(tree, "egress/door.py")) == 1


def test_the_rule_sees_a_stranger_in_the_kernel() -> None:
    tree = ast.parse(
        "import os\nimport msgspec\nimport numpy\nfrom scipy import stats\nfrom tidegate.storage import x\n"
    )
    assert len(not_allowed(tree, "kernel/x.py")) == 3
    assert len(not_allowed(ast.parse("from scipy import special, stats\nimport numpy as np\n"), "statistics/x.py")) == 1


def test_every_door_is_a_room() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0] for path in package_files()}
    doors = {door.partition("/")[0] for names in DOORS.values() for door in names}
    assert doors <= rooms, f"no such room: {sorted(doors - rooms)}"
