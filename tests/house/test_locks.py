"""House rule: every lock pins and hashes each package, names no host, and covers what was asked for."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.source import ROOT, shown

PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)")


def locks() -> list[Path]:
    """Every lock of the project."""
    return [
        ROOT / "requirements.lock",
        ROOT / "tools" / "bootstrap.lock",
        *sorted(ROOT.glob("tests/peers/*/requirements.lock")),
    ]


def faults_of(text: str, name: str) -> list[str]:
    """What a lock may not hold."""
    faults = [f"{name}: names a host" for line in text.splitlines() if "://" in line or line.startswith("-")]
    for block in re.split(r"\n(?=[^\s#])", text):
        if not PINNED.match(block):
            faults.append(f"{name}: not pinned: {block[:60]!r}")
        elif "--hash=sha256:" not in block:
            faults.append(f"{name}: no hash: {block[:60]!r}")
    return faults


def pinned(path: Path) -> dict[str, str]:
    """Name and version of every package in the lock."""
    found = [PINNED.match(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def uncovered(wanted: list[str], lock: dict[str, str]) -> list[str]:
    """The requirements of this platform that the lock does not meet."""
    missing = []
    for requirement in map(Requirement, wanted):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = lock.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement} (locked: {version})")
    return missing


def test_locks_are_pinned_hashed_and_name_no_host() -> None:
    assert len(locks()) >= 5
    faults = [fault for path in locks() for fault in faults_of(path.read_text(encoding="utf-8"), shown(path))]
    assert not faults, "\n".join(faults)


def test_the_lock_covers_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = [
        *project["project"]["dependencies"],
        *(one for name, extra in extras.items() if name != "torch" for one in extra),
        *(one for group in project["dependency-groups"].values() for one in group),
        *project["build-system"]["requires"],
    ]
    missing = uncovered(wanted, pinned(ROOT / "requirements.lock"))
    assert not missing, "run make lock: " + ", ".join(missing)
    apart = pinned(ROOT / "tests" / "peers" / "torch" / "requirements.lock")
    assert not uncovered(extras["torch"], apart), "PyTorch is too large for the lock that everybody installs"


def test_the_locks_of_the_peers_cover_their_requirements() -> None:
    for asked in [*ROOT.glob("tests/peers/*/requirements.in"), ROOT / "tools" / "bootstrap.in"]:
        wanted = asked.read_text(encoding="utf-8").split()
        assert not uncovered(wanted, pinned(asked.with_suffix(".lock"))), f"run make lock: {shown(asked)}"


def test_the_rule_sees_a_bad_lock() -> None:
    good = "a==1 \\\n    --hash=sha256:00\n    # via b\nb==2 \\\n    --hash=sha256:11"
    assert not faults_of(good, "x")
    assert len(faults_of(f"{good}\nc==3", "x")) == 1
    assert len(faults_of(f"{good}\nd>=1 \\\n    --hash=sha256:22", "x")) == 1
    assert len(faults_of(f"--index-url https://example.org\n{good}", "x")) == 2
    assert uncovered(["a>=2", "B", "c"], {"a": "1", "b": "1"}) == ["a>=2 (locked: 1)", "c (locked: None)"]
