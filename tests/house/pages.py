"""Reads the fenced blocks of a Markdown page, and runs its Python blocks one after the other in one fresh process.

A line `<!-- files: PATH … -->` puts copies of files of the project beside the running page. A line
`<!-- not run: REASON -->` before a block leaves it out. A `text` block after `<!-- prints -->` is what the Python
block before it prints; `...` in it stands for anything.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

FENCE = re.compile(r"^```(?P<language>\w*)\s*$")
DIRECTIVE = re.compile(r"^<!-- (?P<name>files|not run|prints):? ?(?P<value>.*?) ?-->$")
_RUNNER = """
import json, sys
page, blocks = json.load(sys.stdin)
names = {"__name__": "__main__"}
for number, (line, code) in enumerate(blocks):
    print(f"\\x1e{number}", flush=True)
    exec(compile("\\n" * line + code, page, "exec"), names)
"""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One fenced block."""

    language: str
    line: int
    """Number of the line before its first."""
    text: str
    skipped: str = ""
    prints: bool = False


class Page(msgspec.Struct, frozen=True):
    """The blocks of a page, and the files that it wants beside it."""

    name: str
    blocks: list[Block]
    files: list[str]

    @property
    def runnable(self) -> list[Block]:
        """The Python blocks that are run."""
        return [block for block in self.blocks if block.language == "python" and not block.skipped]


def read(text: str, name: str) -> Page:
    """The page's blocks. Raises `ValueError` for a fence that is not closed or a reason that is missing."""
    blocks: list[Block] = []
    files: list[str] = []
    waiting: dict[str, str] = {}
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        directive, fence = DIRECTIVE.match(lines[number]), FENCE.match(lines[number])
        if directive and directive["name"] == "files":
            files += directive["value"].split()
        elif directive:
            if directive["name"] == "not run" and not directive["value"]:
                raise ValueError(f"{name}:{number + 1}: say why the block is not run")
            waiting[directive["name"]] = directive["value"]
        elif fence:
            end = next((at for at in range(number + 1, len(lines)) if lines[at].rstrip() == "```"), None)
            if end is None:
                raise ValueError(f"{name}:{number + 1}: the block is not closed")
            body = "\n".join(lines[number + 1 : end]) + "\n"
            blocks.append(
                Block(
                    language=fence["language"],
                    line=number + 1,
                    text=body,
                    skipped=waiting.pop("not run", ""),
                    prints=waiting.pop("prints", None) is not None,
                )
            )
            number = end
        number += 1
    return Page(name, blocks, files)


def run(page: Page, root: Path, folder: Path) -> list[str]:
    """What went wrong when the page was run in the folder: an error, or output unlike the page's."""
    for file in page.files:
        shutil.copy(root / file, folder / Path(file).name)
    blocks = [(block.line, block.text) for block in page.runnable]
    finished = subprocess.run(
        [sys.executable, "-c", _RUNNER],
        input=msgspec.json.encode((page.name, blocks)),
        capture_output=True,
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "COLUMNS": "100", "NO_COLOR": "1"},
        timeout=110,
        check=False,
    )
    if finished.returncode != 0:
        return [f"{page.name}: {finished.stderr.decode()[-3000:]}"]
    printed = re.split(r"\x1e\d+\n", finished.stdout.decode())[1:]
    return [fault for block, before in _expectations(page) if (fault := _unlike(page, block, printed[before]))]


def _expectations(page: Page) -> list[tuple[Block, int]]:
    found, ran = [], -1
    for block in page.blocks:
        if block in page.runnable:
            ran += 1
        elif block.prints:
            found.append((block, ran))
    return found


def _unlike(page: Page, block: Block, printed: str) -> str:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if doctest.OutputChecker().check_output(block.text, printed, options):
        return ""
    return f"{page.name}:{block.line}: the page says\n{block.text}and it printed\n{printed}"
