"""House rule: what the README and the docs show runs, says what they say, and every setting and link is there."""

import re
from pathlib import Path

import pytest

from tests.house import pages
from tests.house.source import ROOT, shown
from tidegate.kernel.settings import Settings

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)(?P<target>[^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", PAGES, ids=shown)
def test_the_blocks_of_a_page_run(path: Path, tmp_path: Path) -> None:
    page = pages.read(path.read_text(encoding="utf-8"), shown(path))
    faults = pages.run(page, ROOT, tmp_path) if page.runnable else []
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", PAGES, ids=shown)
def test_links_within_the_project_lead_somewhere(path: Path) -> None:
    dead = [match["target"] for match in LINK.finditer(path.read_text(encoding="utf-8"))]
    dead = [target for target in dead if not (path.parent / target).exists()]
    assert not dead, f"{shown(path)}: {', '.join(dead)}"


def test_the_readme_shows_the_product() -> None:
    page = pages.read((ROOT / "README.md").read_text(encoding="utf-8"), "README.md")
    assert any("tidegate" in block.text for block in page.runnable), "README.md has no Python example that runs"


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    missing = [name for name in Settings.__struct_fields__ if f"`{name}`" not in text]
    assert not missing, f"docs/settings.md lacks {', '.join(missing)}: run .venv/bin/python tools/settings_page.py"


def test_a_page_that_lies_is_found(tmp_path: Path) -> None:
    skipped = "<!-- not run: needs a server -->\n```python\n1 / 0\n```\n"
    text = f"```python\nx = 2\n```\n\n{skipped}\n```python\nprint(x, 'cats')\n```\n"
    says = "{text}\n<!-- prints -->\n```text\n{says}\n```\n"
    assert not pages.run(pages.read(says.format(text=text, says="2 ..."), "p.md"), ROOT, tmp_path)
    assert "p.md:15" in pages.run(pages.read(says.format(text=text, says="3 cats"), "p.md"), ROOT, tmp_path)[0]


def test_a_page_that_fails_names_its_line(tmp_path: Path) -> None:
    page = pages.read("# Title\n\n```python\nx = 1\ny = 1 / 0\n```\n", "p.md")
    assert 'File "p.md", line 5' in pages.run(page, ROOT, tmp_path)[0]


def test_a_page_gets_the_files_that_it_names(tmp_path: Path) -> None:
    page = pages.read("<!-- files: LICENSE -->\n```python\nprint(open('LICENSE').readline())\n```\n", "p.md")
    assert not pages.run(page, ROOT, tmp_path)


@pytest.mark.parametrize("text", ["```python\nx = 1\n", "<!-- not run: -->\n```python\nx\n```\n"])
def test_a_careless_page_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"p\.md:1"):
        pages.read(text, "p.md")
