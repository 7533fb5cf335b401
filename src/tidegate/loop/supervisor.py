"""Keeps the processes of a server alive: what dies is started again, what is told to stop drains first."""

import contextlib
import gc
import logging
import os
import select
import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import NamedTuple

from tidegate.kernel.clock import MachineClock

log = logging.getLogger("tidegate.loop")

DRAIN_SECONDS = 10.0
_YOUNG_OBJECTS = 10_000
"""So many more are made than given up before Python looks for cycles among them."""

_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY_SECONDS = 0.1, 10.0, 30.0


class Spawn(NamedTuple):
    """A process to keep alive. It must end by itself when its standard input is closed: then we are dead.

    ``message`` is the line that it reads there first: secrets do not belong on a command line, which all can see.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    message: bytes = b""


class _Child:
    def __init__(self, spawn: Spawn) -> None:
        self.spawn = spawn
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.pause = _FIRST_PAUSE
        self.not_before = 0.0


class Supervisor:
    """Starts the processes and watches over them."""

    def __init__(self, spawns: Sequence[Spawn], machine: MachineClock) -> None:
        self._children = [_Child(spawn) for spawn in spawns]
        self._machine = machine
        self._stop = threading.Event()

    def pids(self) -> dict[str, int]:
        """The processes that run now, by name."""
        return {child.spawn.name: child.process.pid for child in self._children if child.process is not None}

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    def run(self, poll_seconds: float = 0.1) -> None:
        """Until `stop`, or SIGTERM or SIGINT where this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self._stop.set())
        try:
            while not self._stop.is_set():
                for child in self._children:
                    self._watch(child)
                self._stop.wait(poll_seconds)
        finally:
            self._drain()

    def _watch(self, child: _Child) -> None:
        now = self._machine.monotonic()
        if child.process is not None:
            code = child.process.poll()
            if code is None:
                return
            if now - child.started > _STEADY_SECONDS:
                child.pause = _FIRST_PAUSE
            log.warning("%s ended with %s; starting it again in %.1f s", child.spawn.name, code, child.pause)
            self._close(child)
            child.not_before = now + child.pause
            child.pause = min(child.pause * 2, _LONGEST_PAUSE)
        if now >= child.not_before:
            child.started = now
            child.process = subprocess.Popen(
                child.spawn.command,
                stdin=subprocess.PIPE,
                env={**os.environ, **child.spawn.environment},
                start_new_session=True,
            )
            self._tell(child.process, child.spawn.message)

    def _tell(self, process: subprocess.Popen[bytes], message: bytes) -> None:
        if message and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it is dead already, which the next round sees
                process.stdin.write(message + b"\n")
                process.stdin.flush()

    def _drain(self) -> None:
        alive = [
            child.process for child in self._children if child.process is not None and child.process.poll() is None
        ]
        for process in alive:
            process.terminate()
        give_up = self._machine.monotonic() + DRAIN_SECONDS
        for process in alive:
            try:
                process.wait(max(give_up - self._machine.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                log.warning("process %d did not drain in %.0f s and is killed", process.pid, DRAIN_SECONDS)
                process.kill()
                process.wait()
        for child in self._children:
            self._close(child)

    def _close(self, child: _Child) -> None:
        if child.process is not None and child.process.stdin is not None:
            child.process.stdin.close()
        child.process = None


def read_message() -> bytes:
    """In a supervised process: the line that the supervisor sent."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def settle() -> None:
    """In a process that has loaded what it needs: have Python's collector leave that alone, and come less often.

    Whatever is loaded lives as long as the process; walking through it after every few requests is a tenth of their
    cost. Cycles are rare in what a request makes, and are still found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)


def end_with_parent() -> None:
    """In a supervised process: end as on SIGTERM when the supervisor is gone, however it died."""

    def watch() -> None:
        gone = select.poll()
        gone.register(0, 0)  # nothing but its end: what is still to be read is left for whoever reads it
        gone.poll()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def another_message(within: float) -> bool:
    """In a supervised process: wait for the supervisor's next line; whether it came within so many seconds."""
    return bool(select.select([0], [], [], within)[0])
