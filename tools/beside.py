"""Runs a module of Python (`-m NAME …`) in our environment with the packages of a peer's after our own."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """`beside.py PEER -m MODULE ARGUMENTS`: of a package that both have, ours is taken."""
    peer, flag, module, *arguments = sys.argv[1:]
    found = sorted((ROOT / "tests" / "peers" / peer / ".venv" / "lib").glob("python*/site-packages"))
    if flag != "-m" or not found:
        sys.exit(f"usage: beside.py PEER -m MODULE; the peer {peer!r} {'is' if found else 'is not'} set up")
    sys.path.append(str(found[0]))
    sys.path.insert(0, str(ROOT))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


main()
