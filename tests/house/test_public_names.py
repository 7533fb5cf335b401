"""House rule: the public names are few and known; a change to them is made on purpose, in public_names.txt."""

import subprocess
import sys
from pathlib import Path

import tidegate

LIMIT = 40
SNAPSHOT = Path(__file__).with_name("public_names.txt")


def test_public_names_are_the_snapshot() -> None:
    names = sorted(tidegate.__all__)
    assert names == SNAPSHOT.read_text(encoding="utf-8").split(), (
        f"the public names changed; where that is meant, write into {SNAPSHOT.name}:\n" + "\n".join(names)
    )


def test_public_names_are_few() -> None:
    assert 0 < len(tidegate.__all__) <= LIMIT
    assert len(set(tidegate.__all__)) == len(tidegate.__all__)


def test_every_public_name_loads_alone() -> None:
    code = "import tidegate\nfor name in tidegate.__all__: getattr(tidegate, name); assert name in dir(tidegate), name"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(tidegate, "no_such_name")
