"""A server, two workers and a command-line loop on one SQLite home: no error, no lost update, nobody starved."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.faults.load import Load, lost
from tests.integration.tidegate_process import PATIENCE, Finished, TidegateProcess, tidegate, until
from tests.slices import ENDPOINT
from tidegate.workspace import Workspace, open_workspace

WORKERS = ("ada", "ben")
ROUNDS = 8
COMMANDS = 2


def test_everybody_writes_to_one_home(server: TidegateProcess, home: Path, tmp_path: Path) -> None:
    """Each goes on until all have done their part, so whoever is starved holds up everybody, and is found."""
    server.start()
    workers = [_worker(home, name, tmp_path) for name in WORKERS]
    try:
        with Load(server.port, threads=2) as load:
            load.more(20)
            commands = list(_command_loop(home, tmp_path))
            load.more(20)
        (tmp_path / "stop").touch()
        failures = [worker.communicate(timeout=PATIENCE)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [0, 0], failures
    assert all(command.code == 0 for command in commands), commands
    assert not load.refusals
    assert not load.cut_off
    assert not lost(load, home, server)
    told = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in WORKERS}
    with open_workspace(home) as workspace:
        _check_runs(workspace, told)
        _check_versions(workspace, told, commands)
        _check_predictions(workspace, told)
        assert workspace.audit.verify().intact
    assert server.log.count("\n") == 1, server.log


def _worker(home: Path, name: str, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.integration.faults.sharing_worker", home, name, str(ROUNDS), folder]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}  # elsewhere there is no code to record
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    )


def _command_loop(home: Path, folder: Path) -> list[Finished]:
    """At least so many commands, and until the workers have done their part."""
    done: list[Finished] = []

    def enough() -> bool:
        turn = len(done) // 2
        file = folder / f"of-cli-{turn}.csv"
        file.write_text(f"worker,turn,of_cli\ncli,{turn},true\n")
        done.append(tidegate("data", "commit", "shared", file, "--home", home, "--json"))
        done.append(tidegate("people", "list", "--home", home))
        return turn + 1 >= COMMANDS and all((folder / f"{name}.enough").exists() for name in WORKERS)

    until(enough, "everybody had their turns")
    return done


def _check_runs(workspace: Workspace, told: dict[str, Any]) -> None:
    for name in WORKERS:
        runs = {run.id: run for run in workspace.runs.list(experiment=name, limit=1000).items}
        assert set(runs) == set(told[name]["runs"])
        for id_, turn in told[name]["runs"].items():
            run = runs[id_]
            assert (run.status, run.params["turn"]) == ("finished", turn)
            assert run.metrics["loss"] == 1.0 / (turn + 3)
            assert len(workspace.runs.history(id_, name="loss", limit=100).items) == 3


def _check_versions(workspace: Workspace, told: dict[str, Any], commands: list[Finished]) -> None:
    expected = {int(number): value for name in WORKERS for number, value in told[name]["versions"].items()}
    expected |= {json.loads(done.out)["number"]: ["cli", turn] for turn, done in enumerate(commands[::2])}
    versions = workspace.data.versions("shared", limit=1000).items
    assert sorted(each.number for each in versions) == list(range(1, len(expected) + 1)), "one number a commit"
    for number, (worker, turn) in expected.items():
        frame = workspace.data.frame(f"shared/{number}")
        assert frame.select("worker", "turn").row(0) == (worker, turn)


def _check_predictions(workspace: Workspace, told: dict[str, Any]) -> None:
    kept = {row["id"]: json.loads(row["inputs"]) for row in workspace.predictions.scan(ENDPOINT).collect().to_dicts()}
    for name in WORKERS:
        assert all(kept[id_] == row for id_, row in told[name]["predictions"].items())
