"""Commands whose operations run on a server, where `TIDEGATE_URL` says so."""

import json
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Run
from tests.integration.tidegate_process import TidegateProcess
from tests.slices import ENDPOINT

ROW = '{"distance": 1200, "wind": 20, "weekend": true}'


def test_commands_reach_a_server_by_its_address(
    run: Run, server: TidegateProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    monkeypatch.setenv("TIDEGATE_URL", server.url)
    asked = run("predict", ENDPOINT, "--row", ROW, "--json")
    assert asked.code == 0, asked.err
    prediction = json.loads(asked.out)["predictions"][0]
    assert prediction["id"] in run("why", prediction["id"]).out
    assert server.url in run("status").out
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    assert run("data", "commit", "uploaded", tmp_path / "rows.csv").code == 0
    assert run("models", "get", "nobody", "1").code == 5
    assert run("doctor").code == 0
    server.terminate()
    gone = run("people", "list")
    assert (gone.code, gone.err.count("\n")) == (1, 1), gone.err
