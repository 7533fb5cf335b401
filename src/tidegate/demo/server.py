"""The demo's server: a real `tidegate serve` as a child process, and how it is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tidegate.kernel.errors import Unavailable

_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_RUN = "from tidegate.cli.main import main; main()"


class DemoServer:
    """The server of one home. It outlives this process unless it is stopped."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self.log = home / "server.log"
        """What the server says."""
        self.url = ""
        self.port = 0

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it and wait until it is ready; after the first time on the same port."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it."""
        arguments = ["--home", str(self._home), "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        # A home of the demo never borrows the catalog or the bucket that somebody has set for their own.
        settings = {"TIDEGATE_CATALOG": "", "TIDEGATE_OBJECTS": "", "TIDEGATE_AUTH": "local"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _RUN, "serve", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **settings},
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it is ready. Raises `Unavailable` with its last words when it ends, or is not ready in a minute."""
        give_up = time.monotonic() + _READY_SECONDS
        while time.monotonic() < give_up:
            address = self._address()
            if address is not None:
                self.url, self.port = address["url"], int(address["url"].rpartition(":")[2])
                return
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise Unavailable(f"the server did not become ready: {self._last_words()}")

    def kill_serving(self) -> None:
        """`kill -9` of the serving process; the supervisor lives."""
        address = self._address()
        if address is None:
            raise Unavailable(f"the server is gone: {self._last_words()}")
        os.kill(address["processes"]["serving-1"], signal.SIGKILL)

    def kill_everything(self) -> None:
        """`kill -9` of the supervisor, then of the processes under it."""
        if self._process is None:
            raise Unavailable("the server was not started")
        children = _children(self._process.pid) or list((self._address() or {"processes": {}})["processes"].values())
        self._process.kill()
        self._process.wait()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Let it drain and end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill_everything()

    def _address(self) -> dict[str, Any] | None:
        """What the server wrote about itself, once this very server has."""
        try:
            address: dict[str, Any] = json.loads((self._home / "server.json").read_text())
        except (OSError, ValueError):
            return None
        return address if address["pid"] == self.pid else None

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            if lines:
                return " / ".join(lines[-3:])
        return "it said nothing"


def _children(parent: int) -> list[int]:
    """The processes under a process, where the kernel shows them; those started again are in no file of ours."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found
