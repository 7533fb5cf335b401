"""Writes docs/settings.md from the settings' own docstrings; `--check` only says whether it is up to date."""

import ast
import sys
from pathlib import Path

from tidegate.kernel import settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
HEAD = """# Settings

A setting is given, from strongest to weakest, as an argument (`tg.open(port=8001)`, `tidegate serve --port 8001`), as
`TIDEGATE_PORT` in the environment, in `tidegate.toml`, or under `[tool.tidegate]` in `pyproject.toml`.
`tidegate config` prints every value and where it came from. An unknown name is an error. A secret stands in a file only
as `env:NAME` or `file:PATH`.

| setting | default | what it does |
| --- | --- | --- |
"""


def main() -> int:
    """Write the page, or compare it."""
    text = HEAD + "".join(rows())
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/settings.md is out of date: run .venv/bin/python tools/settings_page.py", file=sys.stderr)
        return 1
    return 0


def rows() -> list[str]:
    """One line of the table for each setting."""
    tree = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
    (declared,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    found = []
    for node, after in zip(declared.body, declared.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            told = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            meaning = str(told).removeprefix("... ").replace("|", "\\|")
            found.append(f"| `{node.target.id}` | `{ast.unparse(node.value)}` | {meaning[:1].upper()}{meaning[1:]} |\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
