"""Runs commands in the process of the test: the real `main`, with its exit codes, without its start-up time."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.tidegate_process import Finished
from tidegate.cli.main import main

Run = Callable[..., Finished]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line."""

    def run_now(*arguments: str | Path, text: str = "") -> Finished:
        monkeypatch.setattr(sys, "argv", ["tidegate", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Finished(int(str(ended.value.code)), said.out, said.err)

    return run_now
