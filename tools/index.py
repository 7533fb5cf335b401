"""Writes the index of commands that `tidegate --help` reads, so that help imports no room. `--check` compares."""

import subprocess
import sys
from pathlib import Path

from tidegate.workspace import SERVICES

TARGET = Path(__file__).parent.parent / "src" / "tidegate" / "cli" / "index.py"

HEADER = '''"""The verbs of every room. Written by `make index`; a test compares it with the operations."""

ROOMS: dict[str, tuple[str, dict[str, str]]] = {
'''
TOP_LEVEL = ("loop",)


def render() -> str:
    """The text of the index."""
    lines = [HEADER]
    for room, service in SERVICES.items():
        if room in TOP_LEVEL:
            continue
        summary = (service.__doc__ or "").strip().partition("\n")[0]
        lines.append(f"    {room!r}: (\n        {summary!r},\n        {{\n".replace("'", '"'))
        for operation in service.operations():
            verb = operation.name.replace("_", "-")
            line = operation.doc.partition("\n")[0]
            quoted = line.replace('"', '\\"')
            lines.append(f'            "{verb}": "{quoted}",\n')
        lines.append("        },\n    ),\n")
    lines.append("}\n")
    return "".join(lines)


def formatted(text: str) -> str:
    """The text as the formatter wants it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Write, or compare."""
    text = formatted(render())
    if "--check" in sys.argv:
        if TARGET.read_text() != text:
            print("src/tidegate/cli/index.py is out of date: run 'make index'", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
