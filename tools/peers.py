"""Sets up and locks the clients, servers and frameworks in tests/peers, each in an environment of its own.

`newest` makes another environment of a peer, of the newest versions that install, which no lock holds.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "tests" / "peers"
NEWEST = ROOT / "build" / "peers"
UV = ROOT / ".venv" / "bin" / "uv"


def main() -> int:
    """Run `setup`, `lock` or `newest` for the peers that were named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["setup", "lock", "newest", "list"])
    parser.add_argument("names", nargs="*", help="folders of tests/peers")
    parser.add_argument("--clients", action="store_true", help="every foreign client")
    parser.add_argument("--servers", action="store_true", help="every peer server")
    given = parser.parse_args()
    known = {folder.parent.name: kind_of(folder.parent) for folder in sorted(PEERS.glob("*/peer.toml"))}
    wanted = [name for name, kind in known.items() if {"client": given.clients, "server": given.servers}.get(kind)]
    unknown = sorted(set(given.names) - known.keys())
    if unknown:
        parser.error(f"there is no peer {', '.join(unknown)}; there are {', '.join(known)}")
    for name in sorted({*wanted, *given.names} if given.action != "list" else known):
        {"setup": setup, "lock": lock, "newest": newest, "list": show}[given.action](PEERS / name)
    return 0


def kind_of(folder: Path) -> str:
    """`client`, `server`, or `framework` (set up by name only), as the peer's own file says."""
    return str(tomllib.loads((folder / "peer.toml").read_text(encoding="utf-8"))["kind"])


def setup(folder: Path) -> None:
    """Make the peer's environment equal its lock; at once when it already is."""
    if is_ready(folder):
        return
    print(f"setting up the peer {folder.name}", flush=True)
    interpreter = empty(folder / ".venv")
    run("pip", "sync", "--quiet", "--python", interpreter, "--require-hashes", str(folder / "requirements.lock"))
    stamp_of(folder).write_text(digest_of(folder), encoding="utf-8")


def lock(folder: Path) -> None:
    """Resolve the peer's requirements.in into its hashed lock."""
    options = ("--quiet", "--upgrade", "--generate-hashes", "--no-header", "--python-version", "3.11")
    run("pip", "compile", *options, "requirements.in", "-o", "requirements.lock", cwd=folder)


def newest(folder: Path) -> None:
    """Install the newest of what the peer's requirements.in names, whatever it pins, and say what that was."""
    asked = (folder / "requirements.in").read_text(encoding="utf-8").split()
    names = [line.partition("==")[0] for line in asked]
    interpreter = empty(NEWEST / folder.name)
    run("pip", "install", "--quiet", "--refresh", "--python", interpreter, *names)
    listed = subprocess.check_output([str(UV), "pip", "list", "--quiet", "--format=json", "--python", interpreter])
    found = {each["name"]: each["version"] for each in json.loads(listed)}
    print(f"the peer {folder.name}, of the newest that install:")
    for line, name in zip(asked, names, strict=True):
        print(f"  {line}: {found[name.partition('[')[0]]}", flush=True)


def empty(environment: Path) -> str:
    """Make an environment anew; returns its interpreter."""
    run("venv", "--quiet", "--clear", "--python", sys.executable, str(environment))
    return str(environment / "bin" / "python")


def show(folder: Path) -> None:
    """Say what the peer is and whether it is set up."""
    print(f"{folder.name}: {kind_of(folder)}, {'ready' if is_ready(folder) else 'not set up'}")


def is_ready(folder: Path) -> bool:
    """Whether the peer's environment was made from its present lock."""
    stamp = stamp_of(folder)
    return stamp.exists() and stamp.read_text(encoding="utf-8") == digest_of(folder)


def stamp_of(folder: Path) -> Path:
    """Where the digest of the installed lock is kept."""
    return folder / ".venv" / ".lock-digest"


def digest_of(folder: Path) -> str:
    """The digest of the peer's lock."""
    return hashlib.sha256((folder / "requirements.lock").read_bytes()).hexdigest()


def run(*arguments: str, cwd: Path = ROOT) -> None:
    """Run uv, and stop with its exit code when it fails."""
    finished = subprocess.run([str(UV), *arguments], cwd=cwd, check=False)
    if finished.returncode != 0:
        sys.exit(finished.returncode)


if __name__ == "__main__":
    sys.exit(main())
