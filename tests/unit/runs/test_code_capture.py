"""Code and environment as they are found: a real repository, none, one without commits, a long difference."""

import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.kernel.objects import ObjectPlane
from tidegate.runs.capture import capture_code, capture_environment
from tidegate.storage.objects.folder import FolderObjects


@pytest.fixture
def objects(tmp_path: Path) -> ObjectPlane:
    return FolderObjects(tmp_path / "objects")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--initial-branch", "main")
    (folder / "train.py").write_text("rate = 0.1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "Begin")
    return folder


def test_a_clean_repository(repository: Path, objects: ObjectPlane) -> None:
    code = capture_code(objects, repository)
    assert (code.commit, code.branch, code.dirty) == (git(repository, "rev-parse", "HEAD"), "main", False)
    assert (code.diff_digest, code.untracked, code.absent) == (None, 0, "")
    assert code.key == code.commit


def test_changes_are_kept_as_an_object(repository: Path, objects: ObjectPlane) -> None:
    (repository / "train.py").write_text("rate = 0.2\n")
    (repository / "staged.bin").write_bytes(bytes(range(256)))
    git(repository, "add", "staged.bin")
    (repository / "unknown.py").write_text("x = 1\n")
    (repository / "folder").mkdir()
    code = capture_code(objects, repository / "folder")
    assert code.dirty
    assert code.untracked == 1
    assert code.diff_digest is not None
    diff = objects.get(code.diff_digest)
    assert b"-rate = 0.1\n+rate = 0.2" in diff
    assert b"GIT binary patch" in diff
    assert code.key == f"{code.commit}+{code.diff_digest[:16]}"
    git(repository, "stash")
    subprocess.run(["git", "-C", str(repository), "apply", "-"], input=diff, check=True)
    assert (repository / "train.py").read_text() == "rate = 0.2\n"
    assert (repository / "staged.bin").read_bytes() == bytes(range(256))


def test_a_long_difference_is_cut_and_says_so(repository: Path, objects: ObjectPlane) -> None:
    (repository / "train.py").write_text("".join(f"rate = {number}\n" for number in range(20_000)))
    code = capture_code(objects, repository, diff_limit=1000)
    assert code.diff_truncated
    assert code.diff_digest is not None
    assert len(objects.get(code.diff_digest)) == 1000


def test_a_detached_head_has_no_branch(repository: Path, objects: ObjectPlane) -> None:
    git(repository, "checkout", "--detach")
    assert capture_code(objects, repository).branch is None


def test_no_repository_is_recorded_as_absent(tmp_path: Path, objects: ObjectPlane) -> None:
    code = capture_code(objects, tmp_path)
    assert (code.commit, code.key, code.absent) == (None, None, "not in a git repository")
    git(tmp_path, "init")
    assert capture_code(objects, tmp_path).absent == "the git repository has no commit yet"


def test_no_git_is_recorded_as_absent(tmp_path: Path, objects: ObjectPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert capture_code(objects, tmp_path).absent == "git is not installed"


def test_the_environment_is_an_object_of_sorted_lines(objects: ObjectPlane) -> None:
    environment = capture_environment(objects)
    lines = objects.get(environment.packages_digest).decode().splitlines()
    assert lines == sorted(set(lines))
    assert len(lines) == environment.packages
    assert any(line.startswith("msgspec==") for line in lines)
    assert environment.python == ".".join(map(str, sys.version_info[:3]))
    assert capture_environment(objects) == environment
