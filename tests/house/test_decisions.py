"""House rule: a decision has a number of its own, the usual four parts, and a line in the index."""

import re

from tests.house.source import ROOT

FOLDER = ROOT / "docs" / "decisions"
PARTS = ["## Context", "## Decision", "## What was given up"]


def test_every_decision_is_whole_and_in_the_index() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    pages = sorted(FOLDER.glob("[0-9]*.md"))
    assert pages
    for number, page in enumerate(pages, 1):
        text = page.read_text(encoding="utf-8")
        assert page.name.startswith(f"{number:04d}-"), f"{page.name}: the next number is {number:04d}"
        assert re.match(rf"# {number}\. \S", text), f"{page.name}: begins with '# {number}. Title'"
        assert [line for line in text.splitlines() if line in PARTS] == PARTS, f"{page.name}: needs {', '.join(PARTS)}"
        assert f"]({page.name})" in index, f"{page.name}: has no line in the index"
