"""A real `tidegate serve` as a child process, and the processes under it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

RUN = "from tidegate.cli.main import main; main()"
PATIENCE = 90.0
"""Seconds after which a test gives up waiting; no test is decided by how long something takes."""


class Finished(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.02)


def tidegate(*arguments: str | Path, text: str = "", settings: Mapping[str, str] | None = None) -> Finished:
    """Run a command of the command line to its end."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **(settings or {})},
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def children(parent: int) -> dict[str, int]:
    """The processes under a process, by the module that they run."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                module = (folder / "cmdline").read_text().split("\0")[2]
                found[module.removeprefix("tidegate.")] = int(folder.name)
    return found


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class TidegateProcess:
    """The server of one home. It may be started again, on the same port."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port = 0
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self._log = home.parent / f"{home.name}.log"

    @property
    def pid(self) -> int:
        """The supervisor."""
        assert self.process is not None
        return self.process.pid

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything that it has said."""
        return self._log.read_text(errors="replace")

    def start(self, *arguments: str) -> None:
        """Start it and wait until it is ready."""
        self.launch(*arguments)
        self.wait()

    def launch(self, *arguments: str) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, "serve", "--home", str(self.home), "--port", str(self.port), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **{f"TIDEGATE_{name.upper()}": value for name, value in self.settings.items()}},
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it has announced its address."""

        def announced() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended: {self.log}"
            address = self.address()
            return address is not None and address["pid"] == self.pid

        until(announced, "the server became ready")
        self.port = int((self.address() or {})["url"].rpartition(":")[2])

    def log_to(self, file: Path) -> None:
        """Where it shall say what it says; beside its home unless this is called."""
        self._log = file

    def address(self) -> dict[str, Any] | None:
        """What it wrote about itself."""
        try:
            found: dict[str, Any] = json.loads((self.home / "server.json").read_text())
        except (OSError, ValueError):
            return None
        return found

    def child(self, module: str) -> int:
        """The process that runs a module (`http.server`, `workspace.controlling`), once there is one."""
        until(lambda: module in children(self.pid), f"a process ran {module}")
        return children(self.pid)[module]

    def kill(self, module: str) -> int:
        """`kill -9` of a child; which one it was."""
        pid = self.child(module)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid), f"{module} was dead")
        return pid

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """Leave nothing running."""
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.terminate()
        self.process.kill()
        self.process.wait()

    def ask(self, method: str, path: str, value: object = None) -> tuple[int, Any]:
        """One request on a connection of its own: status, and the JSON that it answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            body = None if value is None else json.dumps(value).encode()
            connection.request(method, path, body, {} if body is None else {"content-type": "application/json"})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()
