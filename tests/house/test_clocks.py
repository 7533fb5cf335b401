"""House rule: time, ids and randomness come from the kernel, so that a simulated year gives the same answers twice."""

import ast

import pytest

from tests.house.source import dotted, imported_names, package_files, room_of, shown, tree_of

BANNED = {
    "time.time": "the clock of the workspace",
    "time.time_ns": "the clock of the workspace",
    "datetime.datetime.now": "the clock of the workspace",
    "datetime.datetime.utcnow": "the clock of the workspace",
    "datetime.datetime.today": "the clock of the workspace",
    "datetime.date.today": "the clock of the workspace",
    "uuid.uuid1": "kernel.ids",
    "uuid.uuid4": "kernel.ids",
    "os.urandom": "kernel.ids, or governance/tokens.py for secrets",
}
BANNED_MODULES = {"random": "a seeded generator that is passed in", "secrets": "governance/tokens.py"}
NUMPY_SEEDED = {"default_rng", "Generator", "SeedSequence", "PCG64"}
TOKENS = "src/tidegate/governance/tokens.py"


def unseeded(tree: ast.Module, name: str) -> list[str]:
    """Where time or chance comes from anywhere but the kernel."""
    names = imported_names(tree)
    faults = []
    for node in ast.walk(tree):
        full = dotted(node, names) if isinstance(node, ast.Attribute | ast.Name) else ""
        head, _, rest = full.partition(".")
        if full in BANNED:
            faults.append((node, f"{full}; use {BANNED[full]}"))
        elif head in BANNED_MODULES and isinstance(node, ast.Name):
            faults.append((node, f"{head}; use {BANNED_MODULES[head]}"))
        elif full.startswith("numpy.random.") and rest.split(".")[1] not in NUMPY_SEEDED:
            faults.append((node, f"{full} has a hidden global state; pass a numpy Generator in"))
        elif isinstance(node, ast.Call) and not (node.args or node.keywords):
            seedless = dotted(node.func, names) == "numpy.random.default_rng"
            faults += [(node, "default_rng() without a seed")] if seedless else []
    if name == TOKENS:
        faults = [(node, what) for node, what in faults if not what.startswith(("secrets", "os.urandom"))]
    return [f"{name}:{getattr(node, 'lineno', 0)}: {what}" for node, what in faults]


def test_only_the_kernel_reads_clocks_and_chance() -> None:
    files = [path for path in package_files() if room_of(path) != "kernel"]
    faults = [fault for path in files for fault in unseeded(tree_of(path), shown(path))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "sample",
    [
        "import time\ntime.time()",
        "from time import time as now\nnow()",
        "from datetime import datetime\ndatetime.now(UTC)",
        "import datetime as d\nd.date.today()",
        "import random\nrandom.shuffle(x)",
        "from uuid import uuid4\nuuid4()",
        "import secrets\nsecrets.token_hex()",
        "import numpy as np\nnp.random.rand(3)",
        "import numpy as np\nnp.random.default_rng()",
    ],
)
def test_the_rule_sees_a_hidden_clock(sample: str) -> None:
    assert unseeded(ast.parse(sample), "sample.py")


def test_the_rule_lets_durations_and_seeded_generators_pass() -> None:
    imports = "import time\nimport numpy as np\nfrom datetime import datetime\n"
    sample = f"{imports}time.monotonic()\nnp.random.default_rng(7)\ndatetime(2013, 1, 1)\n"
    assert not unseeded(ast.parse(sample), "sample.py")
    assert not unseeded(ast.parse("import secrets\nsecrets.token_hex()"), TOKENS)
