"""Drives a foreign client or server as a subprocess, in an environment that `tools/peers.py` made for it."""

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
NEWEST = FOLDER.parents[1] / "build" / "peers"


class PeerFailed(AssertionError):
    """The peer's script failed; the message holds its error output."""


class Peer:
    """One foreign client or server: a folder beside this file with a lock and scripts, and the `python` they run in.

    ``newest``: whether that is of the newest versions that install, and not of those that the lock holds.
    """

    def __init__(self, folder: Path, environment: Path, *, newest: bool = False) -> None:
        self.folder = folder
        self.newest = newest
        self.python = environment / "bin" / "python"

    def run(self, script: str, *arguments: str, timeout: float = 60, **given: object) -> Any:
        """Run a script of the peer to its end: it reads `given` as JSON; its last line of output is the answer."""
        finished = subprocess.run(
            [str(self.python), str(self.folder / script), *arguments],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self._environment(),
            check=False,
        )
        if finished.returncode != 0:
            raise PeerFailed(
                f"{self.folder.name}/{script} ended with {finished.returncode}:\n{finished.stderr[-4000:]}"
            )
        return json.loads(finished.stdout.strip().splitlines()[-1])

    @contextlib.contextmanager
    def serve(self, script: str, *arguments: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """A server of the peer, ended with the block. Its output goes to the log."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(self.python), str(self.folder / script), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
            )
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))
        }
        return {**kept, "PATH": f"{self.python.parent}{os.pathsep}{kept.get('PATH', '')}"}


def find_peer(name: str) -> Peer:
    """The peer of this name. Fails, and says what to run, when it is not set up."""
    folder = FOLDER / name
    digest = hashlib.sha256((folder / "requirements.lock").read_bytes()).hexdigest()
    stamp = folder / ".venv" / ".lock-digest"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != digest:
        raise PeerFailed(f"the peer {name} is not set up: run .venv/bin/python tools/peers.py setup {name}")
    return Peer(folder, folder / ".venv")


def find_newest(name: str) -> Peer:
    """The peer of this name in the newest versions that install. Fails, and says what to run, when it is not set up."""
    peer = Peer(FOLDER / name, NEWEST / name, newest=True)
    if not peer.python.exists():
        raise PeerFailed(f"the newest {name} is not set up: run .venv/bin/python tools/peers.py newest {name}")
    return peer
