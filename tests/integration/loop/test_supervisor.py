"""The supervisor: what dies is started again, what is told to stop drains, orphans end by themselves."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.kernel.clock import SystemClock
from tidegate.loop.supervisor import Spawn, Supervisor

CHILD = """
import signal, sys, threading, pathlib, os
from tidegate.loop.supervisor import end_with_parent
end_with_parent()
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with open(sys.argv[1], "a") as log:
    log.write(f"start {os.getpid()}\\n"); log.flush()
    stop.wait()
    log.write(f"drained {os.getpid()}\\n")
"""

PARENT = """
import sys
from tidegate.kernel.clock import SystemClock
from tidegate.loop.supervisor import Spawn, Supervisor
Supervisor([Spawn("child", [sys.executable, "-c", sys.argv[1], sys.argv[2]], {})], SystemClock()).run()
"""


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "child.log"


def test_a_killed_process_is_started_again_and_a_stopped_one_drains(log: Path) -> None:
    supervisor = Supervisor([Spawn("child", [sys.executable, "-c", CHILD, str(log)], {})], SystemClock())
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        until(lambda: len(lines(log)) == 1)
        first = supervisor.pids()["child"]
        os.kill(first, signal.SIGKILL)
        until(lambda: len(lines(log)) == 2)
        second = supervisor.pids()["child"]
        assert second != first
    finally:
        supervisor.stop()
        thread.join(20)
    assert lines(log)[-1] == f"drained {second}"


def test_a_child_ends_when_its_supervisor_was_killed(log: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, str(log)])
    until(lambda: len(lines(log)) == 1)
    parent.kill()
    parent.wait()
    until(lambda: len(lines(log)) == 2)
    child = lines(log)[0].split()[1]
    assert lines(log)[1] == f"drained {child}"
