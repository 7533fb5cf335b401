"""House rule: `import tidegate` is cheap, and every public name is loaded only when it is used."""

import json
import subprocess
import sys

from tests.house.source import ROOT

BUDGET = 250
HEAVY = {
    "alembic",
    "lightgbm",
    "numpy",
    "onnxruntime",
    "polars",
    "scipy",
    "skl2onnx",
    "sklearn",
    "sqlalchemy",
    "starlette",
    "torch",
    "uvicorn",
    "xgboost",
}


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after the statement."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert finished.returncode == 0, finished.stderr
    return set(json.loads(finished.stdout))


def heavy(modules: set[str]) -> set[str]:
    """The libraries among the modules that a plain import must not load."""
    return HEAVY & {name.partition(".")[0] for name in modules}


def test_import_tidegate_is_cheap() -> None:
    modules = modules_after("import tidegate")
    assert len(modules) <= BUDGET, f"{len(modules)} modules after 'import tidegate', at most {BUDGET}"
    assert not heavy(modules), f"'import tidegate' loads {sorted(heavy(modules))}"


def test_help_of_the_command_line_is_cheap() -> None:
    modules = modules_after(
        "import sys\nsys.argv = ['tidegate', '--help']\nimport contextlib, io\n"
        "from tidegate.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    main()\n"
    )
    assert not heavy(modules), f"'tidegate --help' loads {sorted(heavy(modules))}"


def test_the_rule_sees_a_heavy_library() -> None:
    assert heavy(modules_after("import polars")) == {"polars"}
