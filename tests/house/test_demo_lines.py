"""House rule: every line of the demo's output that the README shows is one that the demo's code can tell."""

import re

import pytest

from tests.house.demo_lines import Told, known_lines, shown_lines
from tests.house.pages import read
from tests.house.source import ROOT

README = read((ROOT / "README.md").read_text(encoding="utf-8"), "README.md")
[SUMMARY, YEAR] = [
    block.text for block in README.blocks if "everything held" in block.text or "The year:" in block.text
]
SHOWN = [*shown_lines(SUMMARY), *shown_lines(YEAR)]


def is_known(line: Told) -> bool:
    """Whether some line of the code reads so, whatever is filled in."""
    return any(line.sign == known.sign and re.fullmatch(known.text, line.text) for known in known_lines())


def test_the_readme_shows_the_demo_as_it_is_told() -> None:
    assert len(SHOWN) > 50, "the demo's output was not found in README.md"
    strange = [" ".join(line) for line in SHOWN if not is_known(line)]
    assert not strange, "README.md shows lines that no code of the demo tells; run make demo:\n" + "\n".join(strange)


@pytest.mark.parametrize(
    "line",
    [
        Told("✓", "10 June  late-arrival/2 given out after 7.9 days and 7,050 rows"),
        Told("✗", "10 June  retraining: it is due by the calendar"),
        Told("", "01 June  training: it is due by the calendar"),
        Told("", "Outcome"),
        Told("", "everything held: 0 missing, 0 doubled, 256,001 acknowledged, in 146.4 s"),
    ],
)
def test_a_line_that_nobody_tells_is_found(line: Told) -> None:
    assert not is_known(line)


def test_wrapped_lines_are_put_together() -> None:
    long = "  ✓ " + "word " * 22 + "last,"
    block = f"Data: all\n{long}\n    followed by more\n    01 June  canary late/2 at 5 % of the traffic\n\nSummary"
    assert [line.text for line in shown_lines(block)] == [
        "Data: all", f"{'word ' * 22}last, followed by more", "01 June  canary late/2 at 5 % of the traffic", "Summary",
    ]  # fmt: skip
