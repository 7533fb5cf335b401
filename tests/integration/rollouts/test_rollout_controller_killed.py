"""`kill -9` of the controller between any two of its stages: the rollout goes on where it was, by the same evidence."""

import contextlib
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import tidegate as tg
from tests.contract.rollouts.flown_flights import FlownFlights
from tests.contract.rollouts.rolled_home import kept_in, settle
from tidegate.kernel.settings import Settings
from tidegate.rollouts.controller import Stage
from tidegate.rollouts.records import KeptRollout
from tidegate.testing.workspaces import Home
from tidegate.workspace import open_local

BATCH = 40
ROWS = 100


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[FlownFlights]:
    """The home, as one process after another has it."""
    home = Home(folder, "local", simulated_clock=True)
    try:
        yield FlownFlights(home)
    finally:
        home.close()


def settled(folder: Path, rollout_id: str) -> KeptRollout:
    """What a controller makes of the home that is not killed."""
    with contextlib.closing(open_local(Settings(home=str(folder)))) as inside:
        settle(inside, batch=BATCH)
        return kept_in(inside, rollout_id)


def kill_at(folder: Path, stage: str, step: int) -> None:
    """Run a controller that dies there."""
    module = "tests.integration.rollouts.rolling_process"
    ended = subprocess.run([sys.executable, "-m", module, str(folder), stage, str(step)], timeout=60)
    assert ended.returncode == -signal.SIGKILL, f"{stage} was not reached"


@pytest.mark.slow
def test_a_killed_controller_is_replaced_and_the_rollout_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    with opened(folder) as flown:
        flown.workspace.endpoints.deploy("late", flown.promoted("good"), outcome_independent=True)
        strategy = tg.canary(steps=[10, 20, 40, 60, 100], rows=90, labels=40, margin=0.05)
        canary = flown.workspace.endpoints.deploy("late", flown.promoted("alike"), strategy=strategy)
        settle(flown.home.inside)
        flown_so_far = flown.next
    states = []
    for turn, stage in enumerate(get_args(Stage)):
        with opened(folder) as flown:
            flown.next = flown_so_far
            flown.fly(ROWS // 2)
            flown.fly(ROWS // 2, label=bool(turn % 2))
            flown_so_far = flown.next
        copy = tmp_path / f"copy {turn}"
        shutil.copytree(folder, copy)
        expected = settled(copy, canary.id)
        kill_at(folder, stage, 1 + turn % 2)
        assert settled(folder, canary.id) == expected, f"killed when it had {stage}"
        states.append(expected.rollout)
        shutil.rmtree(copy)
    assert states[-1].state == "promoted", states[-1].reason
    assert [step.share for step in states[-1].steps] == [10, 20, 40, 60, 100]
    with opened(folder) as flown:
        assert flown.workspace.models.resolve("late@champion").number == 2
        told = Counter(row.operation for row in flown.workspace.audit.list(subject="late").items)
        decisions = {name: count for name, count in told.items() if name.startswith("rollouts.")}
        assert decisions == {"rollouts.started": 1, "rollouts.advanced": 4, "rollouts.promoted": 1}, (
            "each decision once"
        )
        assert flown.workspace.audit.verify().intact
