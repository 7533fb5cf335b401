"""Writes openapi.json from the declared operations; `--check` only shows how the committed one differs."""

import difflib
import importlib.metadata
import sys
from pathlib import Path

import msgspec

from tidegate.http.openapi import openapi
from tidegate.workspace import SERVICES

PATH = Path(__file__).resolve().parents[1] / "openapi.json"


def main() -> int:
    """Write the document, or compare it."""
    text = generated()
    if "--check" not in sys.argv:
        PATH.write_text(text, encoding="utf-8")
        return 0
    committed = PATH.read_text(encoding="utf-8") if PATH.exists() else ""
    if committed == text:
        return 0
    lines = difflib.unified_diff(
        committed.splitlines(), text.splitlines(), "openapi.json", "the operations", lineterm=""
    )
    print("\n".join(list(lines)[:80]), file=sys.stderr)
    print("the contract changed: where that is meant, run make openapi and commit openapi.json", file=sys.stderr)
    return 1


def generated() -> str:
    """The document's text, the same for the same operations."""
    document = openapi(SERVICES, importlib.metadata.version("tidegate"))
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.exit(main())
