"""The command line as a process of its own: pipes that break, exit codes, and a server at the other end."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.house.source import ROOT
from tests.integration.tidegate_process import PATIENCE, RUN, TidegateProcess, tidegate, until
from tests.slices import ENDPOINT

ROW = '{"distance": 1200, "wind": 20, "weekend": true}'


def test_exit_codes_reach_the_shell(home: Path) -> None:
    assert tidegate("people", "list", "--home", home).code == 0
    assert tidegate("models", "get", "nobody", "1", "--home", home).code == 5
    assert tidegate("models", "get").code == 2
    module = subprocess.run(
        [ROOT / ".venv/bin/tidegate", "--version"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (module.returncode, module.stderr) == (0, "")


def test_a_reader_that_leaves_is_no_error(home: Path) -> None:
    command = [sys.executable, "-c", RUN, "audit", "list", "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (1, b"")


def test_an_interrupted_command_says_so(home: Path) -> None:
    command = [sys.executable, "-c", RUN, "predict", ENDPOINT, "--file", "-", "--home", str(home)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write("[")
    process.stdin.flush()
    _wait_for_reading(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said.strip()) == (130, "interrupted")


def test_commands_reach_a_server_by_its_address(server: TidegateProcess, tmp_path: Path) -> None:
    server.start()
    there = {"TIDEGATE_URL": server.url}
    asked = tidegate("predict", ENDPOINT, "--row", ROW, "--json", settings=there)
    assert asked.code == 0, asked.err
    prediction = json.loads(asked.out)["predictions"][0]
    assert prediction["id"] in tidegate("why", prediction["id"], settings=there).out
    assert server.url in tidegate("status", settings=there).out
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    assert tidegate("data", "commit", "uploaded", tmp_path / "rows.csv", settings=there).code == 0
    assert tidegate("models", "get", "nobody", "1", settings=there).code == 5
    assert tidegate("doctor", settings=there).code == 0
    server.terminate()
    gone = tidegate("people", "list", settings=there)
    assert (gone.code, gone.err.count("\n")) == (1, 1), gone.err


def _wait_for_reading(pid: int) -> None:
    """Until the process sleeps in a read of its standard input."""

    def reads() -> bool:
        fields = Path(f"/proc/{pid}/syscall").read_text().split()
        return fields[:2] == ["0", "0x0"]

    until(reads, "the command waited for its input")
