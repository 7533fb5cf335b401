"""A worker beside a server: ``python -m tests.integration.faults.sharing_worker HOME NAME ROUNDS FOLDER``.

Writes ``NAME.enough`` into FOLDER after so many rounds, goes on until ``stop`` is there, and then says in
``NAME.json`` what it was told.
"""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

import tidegate as tg
from tests.slices import ENDPOINT


def work(home: str, name: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Log runs, commit data and predict, in turns with everybody else."""
    told: dict[str, Any] = {"runs": {}, "versions": {}, "predictions": {}}
    with tg.open(home) as workspace:
        turn = 0
        while turn < rounds or not (folder / "stop").exists():
            with workspace.runs.start(name, params={"turn": turn}) as run:
                for step in range(3):
                    run.log_metrics({"loss": 1.0 / (turn + step + 1)}, step=step)
            told["runs"][run.id] = turn
            frame = pl.DataFrame({"worker": [name], "turn": [turn], "of_cli": [False]})
            told["versions"][workspace.data.commit("shared", frame).number] = [name, turn]
            row = {"distance": float(turn), "wind": 1.0, "weekend": False}
            answer = workspace.endpoints.predict(ENDPOINT, [row]).predictions[0]
            told["predictions"][answer.id] = row
            turn += 1
            if turn == rounds:
                (folder / f"{name}.enough").touch()
    return told


if __name__ == "__main__":
    where = Path(sys.argv[4])
    told = work(sys.argv[1], sys.argv[2], int(sys.argv[3]), where)
    (where / f"{sys.argv[2]}.json").write_text(json.dumps(told))
