"""A worker beside a server: ``python -m tests.integration.faults.sharing_worker HOME NAME ROUNDS FOLDER``.

Each thing that it was told is a line of ``NAME.told`` in FOLDER, written at once. It touches ``NAME.enough`` after so
many rounds, and goes on until ``stop`` is there.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl

import tidegate as tg

ENDPOINT = "late-arrival"
"""That of `tests.slices`, which would load more than a worker needs."""


def work(home: str, name: str, rounds: int, folder: Path) -> None:
    """Log runs, commit data and predict, in turns with everybody else."""
    file = os.open(folder / f"{name}.told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(*what: object) -> None:
        os.write(file, json.dumps(what).encode() + b"\n")

    with tg.open(home) as workspace:
        turn = 0
        while turn < rounds or not (folder / "stop").exists():
            _take_turn(workspace, name, turn, tell)
            turn += 1
            if turn == rounds:
                (folder / f"{name}.enough").touch()


def _take_turn(workspace: "tg.Workspace", name: str, turn: int, tell: Callable[..., None]) -> None:
    with workspace.runs.start(name, params={"turn": turn}) as run:
        for step in range(3):
            run.log_metrics({"loss": 1.0 / (turn + step + 1)}, step=step)
    tell("run", run.id, turn)
    frame = pl.DataFrame({"worker": [name], "turn": [turn], "of_cli": [False]})
    tell("version", workspace.data.commit("shared", frame).number, turn)
    row = {"distance": float(turn), "wind": 1.0, "weekend": False}
    tell("prediction", workspace.endpoints.predict(ENDPOINT, [row]).predictions[0].id, row)


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
