"""The process of a run stays for the next one of its pipeline, with what it has loaded, and never with stale code."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.pipelines import steps
from tests.contract.pipelines.steps import named
from tests.integration.tidegate_process import is_alive, until
from tidegate.kernel.settings import Settings
from tidegate.pipelines.controller import PipelineController
from tidegate.workspace import LocalWorkspace, open_local

BRIEF = "from tidegate.workspace import stepping; stepping.IDLE_SECONDS = 0.2; stepping.main()"


@pytest.fixture
def space(tmp_path: Path) -> Iterator[LocalWorkspace]:
    with open_local(Settings(home=str(tmp_path / "home"))) as opened:
        opened.pipelines.register("nightly", steps=named(steps.collect))
        yield opened


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def work(space: LocalWorkspace, trace: Path, key: str, pipeline: str = "nightly") -> int:
    """The process that worked on a new run."""
    space.pipelines.start(pipeline, key=key, params={"trace": str(trace)})
    space.loop.tick()
    return int(trace.read_text().splitlines()[-1].split()[1])


def test_runs_of_a_pipeline_share_a_process_one_after_the_other(space: LocalWorkspace, trace: Path) -> None:
    first = work(space, trace, "1")
    assert work(space, trace, "2") == first
    space.pipelines.register("hourly", steps=named(steps.collect))
    assert work(space, trace, "1", "hourly") != first
    assert not is_alive(first), "one process at a time"


def test_a_run_that_waits_goes_on_in_its_process(space: LocalWorkspace, trace: Path) -> None:
    space.pipelines.register("nightly", steps=named(steps.approved, steps.collect))
    waiting = work(space, trace, "1")
    space.pipelines.register("approved", steps=named(steps.collect))
    space.loop.tick()
    assert [line.split() for line in trace.read_text().splitlines()] == [
        ["approved", str(waiting)],
        ["approved", str(waiting)],
        ["collect", str(waiting)],
    ]


def test_law_1_no_run_meets_stale_code(
    space: LocalWorkspace, trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "edited_between_runs.py"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    told = "from tests.contract.pipelines.steps import told\n\ndef step(context):\n    told(context)\n    return {}\n"
    source.write_text(told.replace("{}", "{'code': 'old'}"))
    space.pipelines.register("edited", steps=("edited_between_runs:step",))
    process = work(space, trace, "1", "edited")
    assert work(space, trace, "2", "edited") == process
    newer = tmp_path / "newer.py"
    newer.write_text(told.replace("{}", "{'code': 'new'}"))
    os.utime(newer, (1, 1))  # as a checkout or a package manager may leave it
    newer.replace(source)
    assert work(space, trace, "3", "edited") == process, "it begins anew in its place"
    runs = space.pipelines.runs("edited").items
    assert [run.outputs["step"]["code"] for run in runs] == ["new", "old", "old"]


def test_law_2_a_process_in_which_a_step_failed_takes_no_other_run(space: LocalWorkspace, trace: Path) -> None:
    space.pipelines.register("nightly", steps=named(steps.breaks))
    failed = work(space, trace, "1")
    until(lambda: not is_alive(failed), "it ends")
    space.pipelines.register("nightly", steps=named(steps.collect))
    assert work(space, trace, "2") != failed
    assert [run.state for run in space.pipelines.runs("nightly").items] == ["done", "failed"]


def test_a_process_killed_while_idle_costs_no_attempt(space: LocalWorkspace, trace: Path) -> None:
    idle = work(space, trace, "1")
    os.kill(idle, signal.SIGKILL)
    os.waitid(os.P_PID, idle, os.WEXITED | os.WNOWAIT)  # with all its threads; it is left for the controller to see
    assert work(space, trace, "2") != idle
    (newest, _) = space.pipelines.runs("nightly").items
    assert [step.attempts for step in newest.steps] == [1]


def test_an_idle_process_ends_by_itself(space: LocalWorkspace, trace: Path) -> None:
    lease = space.storage.leases.acquire("controllers", "test", 60.0)
    assert lease is not None
    controller = PipelineController(
        journal=space.pipeline_journal, command=(sys.executable, "-c", BRIEF), message=space._order
    )
    run_id = space.pipelines.start("nightly", key="1", params={"trace": str(trace)}).id
    try:
        while controller.step(lease.fence) is not None:
            pass
        assert space.pipelines.get_run(run_id).state == "done"
        idle = int(trace.read_text().split()[1])
        until(lambda: not is_alive(idle), "it ends when it has nothing to do")
        assert controller.step(lease.fence) is None
    finally:
        controller.close()


def test_the_process_of_the_newest_pipeline_is_begun_before_its_first_run(
    space: LocalWorkspace, trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "told_when_loaded.py").write_text(
        "import os, pathlib\n"
        "from tests.contract.pipelines.steps import told\n"
        f"pathlib.Path({str(tmp_path / 'loaded')!r}).write_text(str(os.getpid()))\n"
        "def step(context):\n    told(context)\n    return {}\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    lease = space.storage.leases.acquire("controllers", "test", 60.0)
    assert lease is not None
    command = (sys.executable, "-m", "tidegate.workspace.stepping")
    controller = PipelineController(
        journal=space.pipeline_journal, command=command, message=space._order, prepare=space._prepare
    )
    try:
        space.pipelines.register("broken", steps=("nowhere_to_be_found:step",))
        assert controller.step(lease.fence) is None, "what cannot be loaded is told by the run, not before"
        controller.close()
        space.pipelines.register("loaded", steps=("told_when_loaded:step",))
        assert controller.step(lease.fence) is None
        until((tmp_path / "loaded").exists, "the code of the newest pipeline is loaded")
        run_id = space.pipelines.start("loaded", key="1", params={"trace": str(trace)}).id
        while controller.step(lease.fence) is not None:
            pass
        assert space.pipelines.get_run(run_id).state == "done"
        assert trace.read_text().split()[1] == (tmp_path / "loaded").read_text(), "and that process worked on it"
    finally:
        controller.close()
