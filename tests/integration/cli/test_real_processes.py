"""The command line as a process of its own: pipes that break, interrupts, exit codes."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.tidegate_process import PATIENCE, RUN, tidegate, until
from tests.slices import ENDPOINT


def test_exit_codes_reach_the_shell(home: Path) -> None:
    assert tidegate("people", "list", "--home", home).code == 0
    assert tidegate("models", "get", "nobody", "1", "--home", home).code == 5
    assert tidegate("models", "get").code == 2
    module = subprocess.run(
        [Path(sys.executable).with_name("tidegate"), "--version"], capture_output=True, text=True, timeout=PATIENCE
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


def _wait_for_reading(pid: int) -> None:
    """Until the process sleeps in a read of its standard input."""

    def reads() -> bool:
        fields = Path(f"/proc/{pid}/syscall").read_text().split()
        return fields[:2] == ["0", "0x0"]

    until(reads, "the command waited for its input")
