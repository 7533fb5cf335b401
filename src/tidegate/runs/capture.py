"""Looks at the code and the environment of the process that trains: git's commit and diff, the installed packages."""

import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tidegate.kernel.objects import ObjectPlane
from tidegate.runs.records import Code, Environment

DIFF_LIMIT = 10 * 1024 * 1024
"""Bytes of a difference that are kept."""

_GIT_SECONDS = 20.0


def capture_environment(objects: ObjectPlane) -> Environment:
    """Interpreter, platform, and the installed distributions as an object."""
    lines = _packages(tuple((folder, _changed(folder)) for folder in sys.path))
    info = objects.put("".join(f"{line}\n" for line in lines).encode())
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages=len(lines),
        packages_digest=info.digest,
    )


@functools.lru_cache(maxsize=1)
def _packages(_folders: tuple[tuple[str, int], ...]) -> list[str]:
    """Read anew when a folder has changed, as it does when something is installed: it takes most of a second."""
    found = set()
    for distribution in importlib.metadata.distributions():
        metadata = distribution.metadata
        if metadata["Name"]:
            found.add(f"{metadata['Name'].lower().replace('_', '-')}=={metadata['Version']}")
    return sorted(found)


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def capture_code(objects: ObjectPlane, folder: Path | None = None, *, diff_limit: int = DIFF_LIMIT) -> Code:
    """Commit, branch and difference of the git repository around a folder (the working directory by default)."""
    folder = Path.cwd() if folder is None else folder
    entry = _entry()
    if shutil.which("git") is None:
        return Code(entry=entry, absent="git is not installed")
    try:
        return _capture(objects, folder, entry, diff_limit)
    except (subprocess.TimeoutExpired, OSError) as error:
        return Code(entry=entry, absent=f"git did not answer ({type(error).__name__})")


def _capture(objects: ObjectPlane, folder: Path, entry: str, limit: int) -> Code:
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None:
        return Code(entry=entry, absent="not in a git repository")
    entry = _within(entry, Path(top))
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return Code(entry=entry, absent="the git repository has no commit yet")
    branch = _git(folder, "symbolic-ref", "--short", "--quiet", "HEAD")
    diff, truncated = _diff(Path(top), limit)
    untracked = _git(Path(top), "ls-files", "--others", "--exclude-standard", "-z") or ""
    strangers = untracked.count("\0")
    return Code(
        entry=entry,
        commit=commit,
        branch=branch,
        dirty=bool(diff or strangers),
        diff_digest=objects.put(diff).digest if diff else None,
        diff_truncated=truncated,
        untracked=strangers,
    )


def _git(folder: Path, *arguments: str) -> str | None:
    finished = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        timeout=_GIT_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_quiet_environment(),
    )
    text = finished.stdout.decode("utf-8", "replace").rstrip("\n")
    return text if finished.returncode == 0 and text else None


def _diff(top: Path, limit: int) -> tuple[bytes, bool]:
    """The difference of tracked files to the commit, and whether it was cut."""
    arguments = ["git", "-C", str(top), "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv"]
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=_quiet_environment(),
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        diff = process.stdout.read(limit + 1)
        if len(diff) > limit:
            process.kill()
    return diff[:limit], len(diff) > limit


def _quiet_environment() -> dict[str, str]:
    return os.environ | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}


def _entry() -> str:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return f"-m {spec.name.removesuffix('.__main__')}"
    started: str | None = getattr(main, "__file__", None)
    return str(Path(started).absolute()) if started else "interactive"


def _within(entry: str, top: Path) -> str:
    path = Path(entry)
    if path.is_absolute() and path.resolve().is_relative_to(top.resolve()):
        return path.resolve().relative_to(top.resolve()).as_posix()
    return entry
