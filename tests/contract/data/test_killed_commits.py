"""`kill -9` in the middle of commits: everything acknowledged is there, nothing is there by halves."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from tests.contract.data.seeded_flights import flights
from tidegate.workspace import open_workspace

ROOT = Path(__file__).resolve().parents[3]
KILLS = 3


def commit_until_killed(home: Path, first: int, seconds: float) -> list[tuple[int, str, int]]:
    """What a process acknowledged before it was killed this long after its first commit."""
    command = [sys.executable, "-m", "tests.contract.data.commit_process", str(home), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(seconds)
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [(int(number), digest, int(seed)) for number, digest, seed in whole]


@pytest.mark.slow
def test_killed_in_the_middle_of_commits(tmp_path: Path) -> None:
    home = tmp_path / "home"
    acknowledged: list[tuple[int, str, int]] = []
    for turn in range(KILLS):
        acknowledged += commit_until_killed(home, first=1 + turn * 10_000, seconds=0.05 + 0.07 * turn)
    assert len(acknowledged) >= KILLS
    with contextlib.closing(open_workspace(home)) as workspace:
        kept = {version.number: version for version in workspace.data.versions("flights", limit=1000).items}
        assert sorted(kept) == list(range(1, len(kept) + 1))
        assert len(acknowledged) <= len(kept) <= len(acknowledged) + KILLS
        for number, digest, seed in acknowledged:
            assert kept[number].digest == digest
            expected = flights(rows=200, seed=seed, month=1 + seed % 12)
            assert_frame_equal(workspace.data.frame(kept[number]), expected)
        for version in kept.values():
            assert workspace.data.frame(version).height == version.rows == 200
        workspace.data.commit("flights", flights(rows=200, seed=0))
