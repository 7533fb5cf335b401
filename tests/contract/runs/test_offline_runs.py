"""Runs without a server: a journal that survives any death, and an upload that has one result, sent once or often."""

import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from tidegate.kernel.errors import Conflict, Invalid, NotFound, Unavailable
from tidegate.runs.offline.entries import Begun, Ended, Entry
from tidegate.runs.offline.journal import RunJournal, journals_of, read_journal
from tidegate.runs.records import Metric, Run
from tidegate.storage.journal.frames import HEADER_BYTES
from tidegate.workspace import Workspace, open_workspace

TABLE = pl.DataFrame({"x": [1.0, 2.0]})
HERE = Path(sys.executable)
MADE_HERE = {"id", "experiment_id", "started_at", "ended_at", "latest"}


def train(workspace: Workspace, version: object, **options: Any) -> str:
    """A run that does everything that a run does."""
    with workspace.runs.start("flights", name="a", params={"depth": 3}, tags={"by": "hand"}, **options) as run:
        run.log_params(rate=0.1, missing=math.nan)
        for step in range(5):
            run.log_metrics({"loss": 1.0 / (step + 1), "odd": math.nan if step % 2 else math.inf}, step=step)
        run.log_metrics({"auc": 0.75})
        run.set_tags(by="night")
        run.log_artifact("notes.txt", b"first")
        run.log_artifact("plots/roc.png", b"\x89PNG" * 100_000)
        run.log_artifact("notes.txt", b"second")
        run.log_input(version)  # type: ignore[arg-type]
    return run.id


def history(workspace: Workspace, run_id: str) -> list[tuple[str, int, str]]:
    """Every measurement, without the moment that it was made at."""
    return [(one.name, one.step, repr(float(one.value))) for one in workspace.runs.history(run_id, limit=25_000).items]


def whole(workspace: Workspace, run_id: str) -> tuple[Run, list[Metric]]:
    """All that a home knows of a run, comparable though it holds NaN."""
    run = workspace.runs.get(run_id)
    points = workspace.runs.history(run_id, limit=25_000).items
    return replace(run, latest=_plain(run.latest)), list(_plain(points))


def _plain(metrics: Any) -> tuple[Metric, ...]:
    return tuple(replace(one, value=repr(float(one.value))) for one in metrics)


def test_what_is_logged_offline_is_what_is_logged(workspace: Workspace, tmp_path: Path) -> None:
    version = workspace.data.commit("points", TABLE)
    online = train(workspace, version)
    offline = train(workspace, version, offline=tmp_path / "plane")
    with pytest.raises(NotFound):
        workspace.runs.get(offline)
    (told,) = workspace.runs.upload(tmp_path / "plane")
    assert (told.run_id, told.experiment, told.ended, told.error) == (offline, "flights", True, "")
    assert told.entries == told.sent
    left, right = whole(workspace, online)[0], whole(workspace, offline)[0]
    different = {name for name, value in asdict(left).items() if value != asdict(right)[name]}
    assert different <= MADE_HERE - {"experiment_id"}
    assert history(workspace, offline) == history(workspace, online)
    assert workspace.objects.get({one.name: one.digest for one in right.artifacts}["notes.txt"]) == b"second"
    assert right.environment is not None
    assert workspace.objects.exists(right.environment.packages_digest)
    assert right.ended_at is not None
    assert right.started_at <= right.ended_at


def test_law_1_an_upload_has_one_result_however_often(workspace: Workspace, tmp_path: Path) -> None:
    run_id = train(workspace, workspace.data.commit("points", TABLE), offline=tmp_path)
    workspace.runs.upload(tmp_path)
    once = whole(workspace, run_id)
    workspace.runs.log(run_id, tags={"by": "somebody else"}, late=True)
    with ThreadPoolExecutor(3) as pool:
        again = [pool.submit(workspace.runs.upload, tmp_path) for _ in range(3)]
        assert all(told.result()[0].sent == 0 for told in again)
    tags = once[0].tags | {"by": "somebody else"}
    assert whole(workspace, run_id) == (replace(once[0], tags=tags), once[1])


def test_law_1_several_who_upload_at_once_write_each_entry_once(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.runs.start("flights", offline=tmp_path) as run:
        for step in range(700):
            run.log_metrics({"loss": float(step)}, step=step)
    with ThreadPoolExecutor(4) as pool:
        told = [pool.submit(workspace.runs.upload, tmp_path) for _ in range(4)]
        answers = [one.result()[0] for one in told]
    assert [one.error for one in answers] == [""] * 4
    assert sum(one.sent for one in answers) == answers[0].entries == 702
    assert [step for _, step, _ in history(workspace, run.id)] == list(range(700))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(windows=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=8))
def test_laws_1_and_2_and_3_hold_for_any_pieces_in_any_order(
    workspace: Workspace, windows: list[tuple[int, int]]
) -> None:
    from tidegate.kernel.clock import SystemClock
    from tidegate.kernel.ids import IdFactory

    now = SystemClock().now()
    run_id = IdFactory(SystemClock()).new()
    middle = [Entry(tags={"last": str(number)}, params={f"p{number}": number}) for number in range(1, 7)]
    journal = [Entry(begun=Begun(experiment="any", started_at=now)), *middle, Entry(ended=Ended(at=now))]
    have = 0
    for first, last in windows:
        piece = tuple(journal[first:last])
        if first > have:
            with pytest.raises(Conflict, match=f"from number {have} on"):
                workspace.runs.append(run_id, first=first, entries=piece)
            continue
        answer = workspace.runs.append(run_id, first=first, entries=piece)
        assert (answer.entries, answer.written) == (max(have, first + len(piece)), max(0, first + len(piece) - have))
        have = answer.entries
        if have:
            run = workspace.runs.get(run_id)
            assert run.params == {f"p{number}": number for number in range(1, min(have, 7))}
            assert run.tags == ({"last": str(min(have, 7) - 1)} if have > 1 else {})
            assert run.status == ("finished" if have == 8 else "running")


def test_law_2_a_torn_journal_is_read_up_to_its_last_whole_entry(tmp_path: Path, workspace: Workspace) -> None:
    with workspace.runs.start("flights", offline=tmp_path) as run:
        for step in range(3):
            run.log_metrics({"loss": float(step)}, step=step)
    (path,) = journals_of(tmp_path)
    data = path.read_bytes()
    all_entries = [one.entry for one in read_journal(path)[1]]
    assert len(all_entries) == 5
    seen = set()
    for length in range(len(data)):
        torn = tmp_path / "torn"
        torn.write_bytes(data[:length] + os.urandom(length % 5))
        if length < HEADER_BYTES:
            with pytest.raises(Invalid, match="first bytes"):
                read_journal(torn)
            continue
        found = [one.entry for one in read_journal(torn)[1]]
        assert found == all_entries[: len(found)]
        seen.add(len(found))
    assert seen == {0, 1, 2, 3, 4}


def test_a_torn_journal_is_uploaded_as_far_as_it_goes_and_then_the_rest(workspace: Workspace, tmp_path: Path) -> None:
    run_id = train(workspace, workspace.data.commit("points", TABLE), offline=tmp_path)
    (path,) = journals_of(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    (told,) = workspace.runs.upload(tmp_path)
    assert (told.ended, told.error) == (False, "")
    assert workspace.runs.get(run_id).status == "running"
    path.write_bytes(data)
    (rest,) = workspace.runs.upload(tmp_path)
    assert rest.sent == rest.entries - told.entries > 0
    assert workspace.runs.get(run_id).status == "finished"
    assert len(history(workspace, run_id)) == 11


def test_a_run_that_goes_on_is_brought_as_far_as_it_is(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.runs.start("flights", offline=tmp_path) as run:
        run.log_metrics({"loss": 1.0}, step=0)
        assert workspace.runs.upload(tmp_path)[0].entries == 2
        run.log_metrics({"loss": 0.5}, step=1)
        assert workspace.runs.get(run.id).metrics == {"loss": 1.0}
    assert workspace.runs.upload(tmp_path)[0].sent == 2
    assert (workspace.runs.get(run.id).metrics, workspace.runs.get(run.id).status) == ({"loss": 0.5}, "finished")


def test_a_run_that_raises_offline_is_failed(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rows"), workspace.runs.start("flights", offline=tmp_path) as run:
        raise ValueError("no rows are left")
    workspace.runs.upload(tmp_path)
    failed = workspace.runs.get(run.id)
    assert (failed.status, failed.error) == ("failed", "ValueError: no rows are left")


def test_parents_come_before_their_parts(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.runs.start("flights", offline=tmp_path) as outer:
        parts = [workspace.runs.start("flights", offline=tmp_path, parent=outer) for _ in range(3)]
    assert [told.error for told in workspace.runs.upload(tmp_path)] == [""] * 4
    assert {workspace.runs.get(part.id).parent for part in parts} == {outer.id}


def test_a_run_that_is_refused_does_not_hinder_the_others(workspace: Workspace, tmp_path: Path) -> None:
    first = workspace.runs.start("flights", offline=tmp_path, inputs=["nowhere/3"])
    second = workspace.runs.start("flights", offline=tmp_path)
    refused, taken = workspace.runs.upload(tmp_path)
    assert (refused.run_id, refused.entries) == (first.id, 0)
    assert "nowhere" in refused.error
    assert (taken.run_id, taken.error) == (second.id, "")
    with pytest.raises(NotFound):
        workspace.runs.get(first.id)
    for number in range(3):
        workspace.data.commit("nowhere", pl.DataFrame({"x": [float(number)]}))
    assert [told.error for told in workspace.runs.upload(tmp_path)] == ["", ""]
    assert workspace.runs.get(first.id).inputs[0].label == "nowhere/3"


def test_what_a_home_would_refuse_is_refused_at_once(workspace: Workspace, tmp_path: Path) -> None:
    run = workspace.runs.start("flights", params={"depth": 3}, offline=tmp_path)
    run.log_params(depth=3)
    with pytest.raises(Conflict, match="keeps its first value"):
        run.log_params(depth=4)
    with pytest.raises(Invalid, match="must name its version"):
        run.log_input("flights")
    with pytest.raises(Invalid, match="must name its version"):
        workspace.runs.start("flights", offline=tmp_path, inputs=["flights@good"])
    with pytest.raises(Invalid, match="at most 6,000"):
        run.log_params(note="x" * 7000)
    with pytest.raises(Invalid, match="reads like plots"):
        run.log_artifact("../x", b"")
    with pytest.raises(Invalid, match="experiment"):
        workspace.runs.start("a/b", offline=tmp_path)
    run.finish()
    with pytest.raises(Conflict, match="has ended"):
        run.log_metrics({"loss": 1.0})
    (told,) = workspace.runs.upload(tmp_path)
    assert (told.entries, told.error) == (3, "")
    with pytest.raises(NotFound, match="no journal"):
        workspace.runs.upload(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(Invalid, match="not the journal"):
        workspace.runs.upload(tmp_path / "file")
    with pytest.raises(Unavailable, match="cannot be kept"):
        RunJournal(tmp_path / "file", run.id, workspace.runs.get(run.id).started_at)


def test_a_home_takes_no_journal_for_what_is_none(workspace: Workspace) -> None:
    run = workspace.runs.create("online")
    begun = Entry(begun=Begun(experiment="flights", started_at=run.started_at))
    with pytest.raises(Conflict, match="not made by an upload"):
        workspace.runs.append(run.id, entries=(begun,))
    with pytest.raises(Invalid, match="not an id"):
        workspace.runs.append("0" * 32, entries=(begun,))
    other = run.id[:-4] + "ffff"
    for wrong in ((Entry(tags={"a": "b"}),), (begun, begun)):
        with pytest.raises(Invalid, match="first entry says"):
            workspace.runs.append(other, entries=wrong)
    with pytest.raises(NotFound):
        workspace.runs.get(other)
    workspace.runs.append(other, entries=(begun,))
    workspace.runs.delete(other)
    with pytest.raises(Conflict, match="restore it first"):
        workspace.runs.append(other, first=1, entries=(Entry(tags={"a": "b"}),))
    assert workspace.runs.append(other, entries=(begun,)).written == 0


def test_many_measurements_of_one_call_are_several_entries(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.runs.start("wide", offline=tmp_path) as run:
        run.log_metrics({f"m{number}": float(number) for number in range(2500)})
    assert workspace.runs.upload(tmp_path)[0].entries == 5
    assert len(workspace.runs.get(run.id).metrics) == 2500


KILLED = """
import sys
import tidegate as tg
with tg.open("https://nowhere.invalid").runs.start("killed", offline=sys.argv[1]) as run:
    for step in range(1_000_000):
        run.log_metrics({"loss": float(step)}, step=step)
        print(step, flush=True)
"""


@pytest.mark.slow
def test_law_1_a_killed_run_leaves_what_it_noted(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "plane")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        told = process.stdout.read().split()
    with open_workspace(tmp_path / "home") as workspace:
        (uploaded,) = workspace.runs.upload(tmp_path / "plane")
        steps = [step for _, step, _ in history(workspace, uploaded.run_id)]
        assert steps == list(range(len(steps)))
        assert len(steps) >= min(len(told), 25_000)
        assert (uploaded.ended, workspace.runs.get(uploaded.run_id).status) == (False, "running")


@pytest.mark.slow
def test_law_2_an_upload_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    steps, weights = 6000, os.urandom(1 << 20)
    command = [str(HERE.with_name("tidegate")), "runs", "upload", "plane", "--home", str(tmp_path / "home"), "--json"]
    with open_workspace(tmp_path / "home") as workspace:
        with workspace.runs.start("killed", offline=tmp_path / "plane") as run:
            for step in range(steps):
                run.log_metrics({"loss": float(step)}, step=step)
            run.log_artifact("weights", weights)
        kills = 0
        for _ in range(3):  # each goes on until the home has heard something new
            seen = heard(workspace)
            with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
                while process.poll() is None and heard(workspace) <= seen:
                    time.sleep(0.002)
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        assert b'"error":""' in done.stdout
        assert kills > 0
        (found,) = workspace.runs.list().items
        assert (found.id, found.status) == (run.id, "finished")
        assert [step for _, step, _ in history(workspace, found.id)] == list(range(steps))
        assert workspace.objects.get(found.artifacts[0].digest) == weights


def heard(workspace: Workspace) -> float:
    """The last step of the only run that the home knows."""
    return max([run.metrics.get("loss", 0.0) for run in workspace.runs.list().items], default=-1.0)
