"""Folds the fragments of changelog.d into CHANGELOG.md, and checks that they are well formed.

A fragment is `changelog.d/NN.kind.md`: the number of its issue, one of the kinds below, and one or two sentences.
"""

import argparse
import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "added": "Added",
    "changed": "Changed",
    "deprecated": "Deprecated",
    "removed": "Removed",
    "fixed": "Fixed",
    "security": "Security",
}
MARK = "<!-- newest first -->\n"
_NAME = re.compile(rf"(?P<issue>\d+)(\.[a-z0-9-]+)?\.(?P<kind>{'|'.join(KINDS)})\.md")


def main() -> int:
    """Run `check`, or `build VERSION`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say what is wrong with the fragments")
    build_command = commands.add_parser("build", help="move the fragments into CHANGELOG.md")
    build_command.add_argument("version")
    given = parser.parse_args()
    faults = check(ROOT)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        return 1
    if given.command == "build":
        build(ROOT, given.version, datetime.datetime.now(datetime.UTC).date())
    return 0


def check(root: Path) -> list[str]:
    """What is wrong with the fragments; nothing when all is well."""
    faults = []
    for path in fragments(root):
        if not _NAME.fullmatch(path.name):
            faults.append(f"changelog.d/{path.name}: name it NN.kind.md, kind one of {', '.join(KINDS)}")
        elif not path.read_text(encoding="utf-8").strip():
            faults.append(f"changelog.d/{path.name}: is empty; say in a sentence what a user gains")
    if MARK not in (root / "CHANGELOG.md").read_text(encoding="utf-8"):
        faults.append(f"CHANGELOG.md: has lost its line {MARK.strip()}")
    return faults


def build(root: Path, version: str, day: datetime.date) -> None:
    """Write one section for the version from all fragments, then remove them."""
    changelog = root / "CHANGELOG.md"
    before, after = changelog.read_text(encoding="utf-8").split(MARK)
    changelog.write_text(f"{before}{MARK}\n{section(root, version, day)}{after}", encoding="utf-8")
    for path in fragments(root):
        path.unlink()


def section(root: Path, version: str, day: datetime.date) -> str:
    """The Markdown of one version."""
    entries: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for path in fragments(root):
        if match := _NAME.fullmatch(path.name):
            text = " ".join(path.read_text(encoding="utf-8").split())
            entries[match["kind"]].append(f"- {text} (#{match['issue']})\n")
    parts = [f"\n### {KINDS[kind]}\n\n{''.join(lines)}" for kind, lines in entries.items() if lines]
    return f"## {version} ({day.isoformat()})\n{''.join(parts)}"


def fragments(root: Path) -> list[Path]:
    """The fragments, by issue number."""
    found = [path for path in (root / "changelog.d").glob("*.md") if path.name != "README.md"]
    return sorted(found, key=_order)


def _order(path: Path) -> tuple[int, str]:
    issue = path.name.partition(".")[0]
    return (int(issue) if issue.isdigit() else 0, path.name)


if __name__ == "__main__":
    sys.exit(main())
