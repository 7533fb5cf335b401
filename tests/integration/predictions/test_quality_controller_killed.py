"""`kill -9` of the controller between any two of its stages: the next one arrives at the same windows."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tests.contract.monitors.brute_force import orphans_of, shown, windows_of
from tests.contract.predictions.logged_home import DAY, START, LoggedHome
from tidegate.monitors.controller import Stage
from tidegate.predictions.records import LabelRow, PredictionRow


@pytest.mark.slow
def test_a_killed_controller_is_replaced(tmp_path: Path) -> None:
    home = LoggedHome(tmp_path)
    rows: list[PredictionRow] = []
    labels: list[LabelRow] = []
    try:
        for turn, stage in enumerate(get_args(Stage)):
            rows += (new := [home.row(START + (turn + n % 3) * DAY, shares=[0.1 * n, 1 - 0.1 * n]) for n in range(9)])
            home.predict(*new)
            labels += [home.label(row.id, "late", observed=START + turn * DAY) for row in rows[:: turn + 1]]
            labels += [home.label(f"{turn:032x}", "late")]
            if turn % 2:
                home.seal()
            kill_at(tmp_path, stage, 1 + turn % 2)
        home.settle()
        found = [stored.window for stored in home.store.windows("late", None, 100, None)]
        expected = windows_of(rows, labels, {})
        assert shown(found).keys() == expected.keys()
        for key, said in shown(found).items():
            assert said == {
                name: value if isinstance(value, dict) else pytest.approx(value)
                for name, value in expected[key].items()
            }
        assert {"late": home.store.latest("late").orphans} == orphans_of(rows, labels)
    finally:
        home.close()


def kill_at(folder: Path, stage: str, step: int) -> None:
    """Run a controller that dies there."""
    module = "tests.integration.predictions.controlling_process"
    ended = subprocess.run([sys.executable, "-m", module, str(folder), stage, str(step)], timeout=60)
    assert ended.returncode == -signal.SIGKILL, f"{stage} was not reached"
