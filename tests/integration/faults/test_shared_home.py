"""A server, two workers and a command-line loop on one SQLite home: no error, no lost update, nobody starved."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.faults.load import Load, lost
from tests.integration.tidegate_process import PATIENCE, Finished, TidegateProcess, tidegate, until
from tests.slices import ENDPOINT
from tidegate.workspace import Workspace, open_workspace

ROUNDS = 8
COMMANDS = 2


class Worker:
    """A worker process on a home, and what it was told."""

    def __init__(self, home: Path, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        module = "tests.integration.faults.sharing_worker"
        command = [sys.executable, "-m", module, str(home), name, str(ROUNDS), str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
        )

    def has_done(self) -> bool:
        """Whether it has done its part."""
        return (self.folder / f"{self.name}.enough").exists()

    def told(self, kind: str) -> dict[Any, Any]:
        """What it was told of runs, versions or predictions."""
        lines = map(json.loads, (self.folder / f"{self.name}.told").read_text().splitlines())
        return {line[1]: line[2] for line in lines if line[0] == kind}


@pytest.fixture
def workers(home: Path, tmp_path: Path) -> Iterator[list[Worker]]:
    """Two workers on the home of the test."""
    started = [Worker(home, name, tmp_path) for name in ("ada", "ben")]
    yield started
    for worker in started:
        worker.process.kill()
        worker.process.communicate()


def test_everybody_writes_to_one_home(
    server: TidegateProcess, workers: list[Worker], home: Path, tmp_path: Path
) -> None:
    """Each goes on until all have done their part, so whoever is starved holds up everybody, and is found."""
    server.start()
    with Load(server.port, threads=2) as load:
        load.more(20)
        commands = _command_loop(home, tmp_path, workers)
        load.more(20)
    (tmp_path / "stop").touch()
    for worker in workers:
        _, said = worker.process.communicate(timeout=PATIENCE)
        assert (worker.process.returncode, said) == (0, "")
    assert all((command.code, command.err) == (0, "") for command in commands), commands
    assert not load.refusals
    assert not load.cut_off
    assert not lost(load, home, server)
    with open_workspace(home) as workspace:
        for worker in workers:
            _check_runs(workspace, worker)
            _check_predictions(workspace, worker)
        turns = {json.loads(done.out)["number"]: ("cli", turn) for turn, done in enumerate(commands[::2])}
        _check_versions(workspace, workers, turns)
        assert workspace.audit.verify().intact
    assert server.log.count("\n") == 1, server.log


def test_a_killed_worker_loses_nothing_and_leaves_nothing_half_done(
    server: TidegateProcess, workers: list[Worker], home: Path, tmp_path: Path
) -> None:
    server.start()
    with Load(server.port, threads=2) as load:
        until(lambda: all(worker.has_done() for worker in workers), "the workers had their turns")
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
        load.more(20)
        after = tidegate("people", "list", "--home", home)
    assert after.code == 0, after.err
    assert not lost(load, home, server)
    with open_workspace(home) as workspace:
        for worker in workers:
            _check_runs(workspace, worker, unfinished=1)
            _check_predictions(workspace, worker)
        _check_versions(workspace, workers, {}, unsaid=2)
        assert workspace.audit.verify().intact


def _command_loop(home: Path, folder: Path, workers: list[Worker]) -> list[Finished]:
    """At least so many commands, and until the workers have done their part."""
    done: list[Finished] = []

    def enough() -> bool:
        turn = len(done) // 2
        file = folder / f"of-cli-{turn}.csv"
        file.write_text(f"worker,turn,of_cli\ncli,{turn},true\n")
        done.append(tidegate("data", "commit", "shared", file, "--home", home, "--json"))
        done.append(tidegate("people", "list", "--home", home))
        return turn + 1 >= COMMANDS and all(worker.has_done() for worker in workers)

    until(enough, "everybody had their turns")
    return done


def _check_runs(workspace: Workspace, worker: Worker, unfinished: int = 0) -> None:
    """`unfinished`: runs that may stand there although the worker was never told that they have ended."""
    told = worker.told("run")
    runs = {run.id: run for run in workspace.runs.list(experiment=worker.name, limit=1000).items}
    assert set(runs) >= set(told)
    assert len(runs) - len(told) <= unfinished
    for id_, turn in told.items():
        assert (runs[id_].status, runs[id_].params["turn"]) == ("finished", turn)
        assert runs[id_].metrics["loss"] == 1.0 / (turn + 3)
        assert len(workspace.runs.history(id_, name="loss").items) == 3


def _check_versions(
    workspace: Workspace, workers: list[Worker], others: dict[int, tuple[str, int]], unsaid: int = 0
) -> None:
    expected = {number: (each.name, turn) for each in workers for number, turn in each.told("version").items()}
    assert not expected.keys() & others.keys(), "a number belongs to one commit"
    expected |= others
    versions = {each.number for each in workspace.data.versions("shared", limit=1000).items}
    assert versions == set(range(1, len(versions) + 1))
    assert versions >= expected.keys()
    assert len(versions) - len(expected) <= unsaid
    for number, who in expected.items():
        assert workspace.data.frame(f"shared/{number}").select("worker", "turn").row(0) == who


def _check_predictions(workspace: Workspace, worker: Worker) -> None:
    kept = {row["id"]: json.loads(row["inputs"]) for row in workspace.predictions.scan(ENDPOINT).collect().to_dicts()}
    assert all(kept[id_] == row for id_, row in worker.told("prediction").items())
