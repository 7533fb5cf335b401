"""A run from its start to its end: what is captured, what is logged, and what is refused once it has ended."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.runs.records import Artifact, Metric
from tidegate.workspace import Workspace

TABLE = pl.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [True, False, True, False]})


def test_a_run_is_finished_by_leaving_it(workspace: Workspace) -> None:
    version = workspace.data.commit("points", TABLE)
    with workspace.runs.start("late arrival", params={"depth": 3}, tags={"by": "hand"}, inputs=[version]) as run:
        running = workspace.runs.get(run.id)
        assert (running.status, running.ended_at, running.experiment) == ("running", None, "late arrival")
        run.log_params(rate=0.1, missing=math.nan)
        run.log_metrics({"auc": 0.75, "loss": math.inf}, step=1)
        run.set_tags(by="night")
    done = workspace.runs.get(run.id)
    assert (done.status, done.error, done.actor) == ("finished", "", "local")
    assert done.ended_at is not None
    assert done.ended_at >= done.started_at
    assert done.params == {"depth": 3, "rate": 0.1, "missing": "nan"}
    assert done.metrics == {"auc": 0.75, "loss": math.inf}
    assert done.tags == {"by": "night"}
    assert [(one.digest, one.label) for one in done.inputs] == [(version.digest, "points/1")]


def test_code_and_environment_are_captured(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with workspace.runs.start("plain") as run:
        pass
    done = workspace.runs.get(run.id)
    assert done.code.commit is None
    assert done.code.absent == "not in a git repository"
    assert done.environment is not None
    assert b"msgspec==" in workspace.objects.get(done.environment.packages_digest)


def test_a_run_that_raises_is_failed_and_the_error_goes_on(workspace: Workspace) -> None:
    run = workspace.runs.start("broken")
    run.log_metrics({"auc": 0.5})
    with pytest.raises(ValueError, match="no rows"), run:
        raise ValueError("no rows are left")
    failed = workspace.runs.get(run.id)
    assert (failed.status, failed.error) == ("failed", "ValueError: no rows are left")
    assert failed.metrics == {"auc": 0.5}


def test_leaving_by_exit_is_no_failure(workspace: Workspace) -> None:
    with pytest.raises(SystemExit), workspace.runs.start("script") as run:
        sys.exit(0)
    assert workspace.runs.get(run.id).status == "finished"
    with pytest.raises(SystemExit), workspace.runs.start("script") as run:
        sys.exit(2)
    assert workspace.runs.get(run.id).status == "failed"


def test_law_4_an_ended_run_takes_nothing_more(workspace: Workspace) -> None:
    with workspace.runs.start("done") as run:
        ended = run.finish()
    assert workspace.runs.get(run.id) == ended
    for late in (lambda: run.log_metrics({"auc": 1.0}), lambda: run.log_params(a=1), run.finish):
        with pytest.raises(Conflict, match="has ended"):
            late()
    assert workspace.runs.get(run.id) == ended


def test_law_1_a_parameter_keeps_its_first_value(workspace: Workspace) -> None:
    run = workspace.runs.start("params", params={"depth": 3})
    run.log_params(depth=3)
    for other in (4, 3.0, "3", True, None):
        with pytest.raises(Conflict, match="keeps its first value"):
            run.log_params(rate=0.1, depth=other)
    assert workspace.runs.get(run.id).params == {"depth": 3}


def test_a_log_is_written_whole_or_not_at_all(workspace: Workspace) -> None:
    run = workspace.runs.start("atomic", params={"depth": 3})
    with pytest.raises(Conflict):
        workspace.runs.log(run.id, params={"depth": 4}, metrics=(Metric(name="auc", value=1.0),), tags={"by": "x"})
    with pytest.raises(NotFound, match="trains"):
        workspace.runs.log(run.id, metrics=(Metric(name="auc", value=1.0),), inputs=("trains/1",))
    kept = workspace.runs.get(run.id)
    assert (kept.metrics, kept.tags, kept.inputs) == ({}, {}, ())
    assert workspace.runs.history(run.id).items == []


def test_law_3_every_measurement_is_kept_and_the_latest_shown(workspace: Workspace) -> None:
    run = workspace.runs.start("metrics")
    values = [0.5, math.nan, math.inf, -math.inf, 0.1]
    for step, value in enumerate(values):
        run.log_metrics({"loss": value, "step": step}, step=step)
    run.log_metrics({"loss": 9.0}, step=2)
    history = workspace.runs.history(run.id, name="loss", limit=4)
    rest = workspace.runs.history(run.id, name="loss", limit=4, cursor=history.next or "")
    found = [*history.items, *rest.items]
    assert [one.step for one in found] == [0, 1, 2, 2, 3, 4]
    assert [repr(float(one.value)) for one in found] == ["0.5", "nan", "inf", "9.0", "-inf", "0.1"]
    assert workspace.runs.get(run.id).metrics == {"loss": 0.1, "step": 4.0}
    assert len(workspace.runs.history(run.id).items) == 11
    with pytest.raises(NotFound):
        workspace.runs.history("0" * 32)


def test_nan_is_below_every_number_of_its_moment(workspace: Workspace) -> None:
    run = workspace.runs.start("nan")
    at = datetime(2013, 1, 1, tzinfo=UTC)
    for value in (math.nan, -math.inf, math.nan):
        workspace.runs.log(run.id, metrics=(Metric(name="loss", value=value, at=at),))
    assert workspace.runs.get(run.id).metrics == {"loss": -math.inf}
    workspace.runs.log(run.id, metrics=(Metric(name="loss", value=math.nan, step=1, at=at),))
    assert math.isnan(workspace.runs.get(run.id).metrics["loss"])


def test_artifacts_are_objects_under_names(workspace: Workspace, tmp_path: Path) -> None:
    run = workspace.runs.start("artifacts")
    (tmp_path / "roc.png").write_bytes(b"\x89PNG" * 400_000)
    run.log_artifact("notes.txt", b"first")
    run.log_artifact("notes.txt", b"second")
    drawn = run.log_artifact("plots/roc.png", tmp_path / "roc.png")
    kept = {one.name: one for one in workspace.runs.get(run.id).artifacts}
    assert kept["plots/roc.png"] == drawn
    assert workspace.objects.get(drawn.digest) == b"\x89PNG" * 400_000
    assert workspace.objects.get(kept["notes.txt"].digest) == b"second"
    with pytest.raises(NotFound, match="no file"):
        run.log_artifact("x", tmp_path / "none")
    with pytest.raises(Invalid, match="reads like plots"):
        run.log_artifact("../x", b"")
    with pytest.raises(Invalid, match="not stored"):
        workspace.runs.log(run.id, artifacts=(Artifact("x", "0" * 64, 1),))


def test_inputs_are_versions_rows_or_references(workspace: Workspace) -> None:
    version = workspace.data.commit("points", TABLE)
    rows = workspace.data.rows(version, features=["x"], label="y")
    run = workspace.runs.start("inputs", inputs=[rows, "points"])
    run.log_input(version)
    run.log_input(version.digest)
    assert [(one.digest, one.label) for one in workspace.runs.get(run.id).inputs] == [(version.digest, "points/1")]
    with pytest.raises(Invalid, match="an input is"):
        workspace.runs.start("inputs", inputs=[3])  # type: ignore[list-item]
    with pytest.raises(NotFound):
        workspace.runs.start("inputs", inputs=["trains/1"])
    assert len(workspace.runs.list(experiment="inputs").items) == 1


def test_runs_are_listed_newest_first(workspace: Workspace) -> None:
    made = [workspace.runs.create("a" if number % 2 else "b") for number in range(6)]
    workspace.runs.finish(made[0].id, status="failed", error="out of memory")
    page = workspace.runs.list(limit=4)
    rest = workspace.runs.list(limit=4, cursor=page.next or "")
    assert [run.id for run in [*page.items, *rest.items]] == [run.id for run in reversed(made)]
    assert [run.id for run in workspace.runs.list(experiment="a").items] == [made[5].id, made[3].id, made[1].id]
    assert [run.error for run in workspace.runs.list(status="failed").items] == ["out of memory"]
    assert rest.next is None
    with pytest.raises(Invalid, match="cursor"):
        workspace.runs.list(cursor="x")


def test_what_makes_no_sense_is_refused(workspace: Workspace) -> None:
    with pytest.raises(Invalid, match="experiment"):
        workspace.runs.start("a/b")
    with pytest.raises(NotFound, match="no run"):
        workspace.runs.get("nobody")
    with pytest.raises(NotFound, match="no run"):
        workspace.runs.log("0" * 32, tags={"a": "b"})
    run = workspace.runs.create("a")
    with pytest.raises(Invalid, match="no error"):
        workspace.runs.finish(run.id, error="x")
    with pytest.raises(Invalid, match="at most 6,000"):
        workspace.runs.log(run.id, params={"x": "y" * 7000})


def test_many_threads_log_to_one_run(workspace: Workspace) -> None:
    run = workspace.runs.start("busy")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda step: run.log_metrics({"loss": float(step)}, step=step), range(60)))
    assert workspace.runs.get(run.id).metrics == {"loss": 59.0}
    assert sorted(one.step for one in workspace.runs.history(run.id, limit=1000).items) == list(range(60))


def test_law_5_what_is_logged_while_a_run_ends_is_kept_or_refused(workspace: Workspace) -> None:
    run = workspace.runs.start("ending")
    began = threading.Event()

    def log(thread: int) -> int:
        for step in range(1000):
            try:
                run.log_metrics({"loss": 1.0}, step=1000 * thread + step)
            except Conflict:
                return step
            began.set()
        raise AssertionError("the run never ended")

    with ThreadPoolExecutor(4) as pool:
        logging = [pool.submit(log, thread) for thread in range(3)]
        assert began.wait(30)
        workspace.runs.finish(run.id, status="finished")
        accepted = sum(each.result(60) for each in logging)
    assert len(workspace.runs.history(run.id, limit=1000).items) == accepted


@pytest.mark.slow
def test_a_killed_process_leaves_what_it_logged(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, tidegate.workspace as tw\n"
        "ws = tw.open_workspace(sys.argv[1])\n"
        "with ws.runs.start('killed') as run:\n"
        "    for step in range(100000):\n"
        "        run.log_metrics({'loss': float(step)}, step=step)\n"
        "        print(step, flush=True)\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "home")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGKILL)
        told = [0, *map(json.loads, process.stdout.read().splitlines())]
    from tidegate.workspace import open_workspace

    with open_workspace(tmp_path / "home") as workspace:
        (run,) = workspace.runs.list().items
        steps = [one.step for one in workspace.runs.history(run.id, limit=1000).items]
        assert run.status == "running"
        assert run.code.entry == str(script)
        assert steps[: len(told)] == told[: len(steps)]
        assert run.metrics["loss"] >= told[-1]


def test_a_folder_of_artifacts_is_deleted(workspace: Workspace) -> None:
    run = workspace.runs.start("a")
    for name in ("model/a.bin", "model/b.bin", "modeler", "notes.txt"):
        run.log_artifact(name, name.encode())
    left = workspace.runs.delete_artifacts(run.id, name="model")
    assert [one.name for one in left.artifacts] == ["modeler", "notes.txt"]
    with pytest.raises(NotFound, match="no artifact 'model'"):
        workspace.runs.delete_artifacts(run.id, name="model")
    with pytest.raises(Invalid, match="reads like"):
        workspace.runs.delete_artifacts(run.id, name="../notes.txt")


def test_a_sample_and_measurements_by_time_are_of_the_measurements_as_they_were_logged(workspace: Workspace) -> None:
    run = workspace.runs.create("a")
    metrics = tuple(Metric(name="loss", value=float(step), step=step) for step in range(10))
    for metric in reversed(metrics):
        workspace.runs.log(run.id, metrics=(metric,))
    found = workspace.runs.sample(run.id, "loss", points=4, start_step=1)
    assert (found.steps, found.values) == ((1, 4, 6, 9), (1.0, 4.0, 6.0, 9.0))
    first = workspace.runs.measurements(run.id, "loss", limit=7)
    rest = workspace.runs.measurements(run.id, "loss", limit=7, cursor=first.next or "")
    assert (len(first.steps), len(rest.steps), rest.next) == (7, 3, None)
    rows = [*zip(first.micros, first.steps, strict=True), *zip(rest.micros, rest.steps, strict=True)]
    assert rows == sorted(rows)
    assert sorted(first.values + rest.values) == [float(step) for step in range(10)]
    for cursor in ("x", workspace.runs.history(run.id, limit=1).next or ""):
        with pytest.raises(Invalid, match="cursor"):
            workspace.runs.measurements(run.id, "loss", cursor=cursor)
    with pytest.raises(Invalid, match="limit"):
        workspace.runs.measurements(run.id, "loss", limit=25_001)
    assert workspace.runs.sample(run.id, "other").steps == workspace.runs.measurements(run.id, "other").steps == ()
    with pytest.raises(Invalid, match="points"):
        workspace.runs.sample(run.id, "loss", points=0)
    with pytest.raises(NotFound, match="no run"):
        workspace.runs.sample("0" * 32, "loss")
    with pytest.raises(NotFound, match="no run"):
        workspace.runs.measurements("0" * 32, "loss")
