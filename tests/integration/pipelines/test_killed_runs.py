"""`kill -9` of a step's process, of the controllers', or of both: the run goes on, and no step is journaled twice."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.pipelines import steps
from tests.contract.pipelines.steps import DIES, named
from tests.integration.tidegate_process import is_alive, until
from tests.postgres import Databases, catalog_on
from tidegate.events.store import EventLog
from tidegate.kernel.settings import Settings
from tidegate.workspace import LocalWorkspace, open_local

THREE = named(steps.collect, steps.train, steps.deploy)


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    """A PostgreSQL server of these tests."""
    with Databases() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalWorkspace]:
    """A home with a pipeline of three steps, and the trace that they leave."""
    catalog = catalog_on(request.param, request)
    with open_local(Settings(home=str(tmp_path / "home"), catalog=catalog)) as opened:
        opened.pipelines.register("nightly", steps=THREE)
        yield opened


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def lines(trace: Path) -> list[tuple[str, int]]:
    """Which step was begun by which process."""
    found = [line.split() for line in trace.read_text().splitlines()] if trace.exists() else []
    return [(step, int(pid)) for step, pid in found]


def kinds(space: LocalWorkspace) -> list[str]:
    storage = space.storage
    events = EventLog(storage.catalog, storage.clock, storage.ids).after(0, type_prefix="tidegate.pipelines.")
    return [event.type.rpartition(".")[2] for event in events]


def test_a_killed_step_is_begun_again_in_a_new_process(space: LocalWorkspace, trace: Path) -> None:
    params = {"trace": str(trace), DIES: "train", "times": 2}
    run_id = space.pipelines.start("nightly", key="k", params=params).id
    space.loop.tick()
    run = space.pipelines.get_run(run_id)
    assert run.state == "done"
    assert [step.attempts for step in run.steps] == [1, 3, 1]
    assert [step for step, _ in lines(trace)] == ["collect", "train", "train", "train", "deploy"]
    pids = [pid for _, pid in lines(trace)]
    assert pids[0] == pids[1], "consecutive steps share a process"
    assert len(set(pids)) == 3
    assert os.getpid() not in pids
    assert len(space.runs.list().items) == 1
    assert kinds(space)[-4:] == ["step_done", "step_done", "step_done", "finished"]


@pytest.mark.parametrize("space", ["sqlite"], indirect=True)
def test_a_step_that_always_dies_fails_its_run(space: LocalWorkspace, trace: Path) -> None:
    params = {"trace": str(trace), DIES: "collect", "times": 99}
    run_id = space.pipelines.start("nightly", key="k", params=params).id
    space.loop.tick()
    run = space.pipelines.get_run(run_id)
    assert run.state == "failed"
    assert "'collect' was begun 3 times" in run.reason
    assert len(lines(trace)) == 3


@pytest.mark.parametrize("space", ["sqlite"], indirect=True)
def test_a_tick_asks_a_run_that_waits_and_does_not_wait_for_it(space: LocalWorkspace, trace: Path) -> None:
    space.pipelines.register("nightly", steps=named(steps.approved, steps.collect))
    run_id = space.pipelines.start("nightly", key="k", params={"trace": str(trace)}).id
    space.loop.tick()
    space.loop.tick()
    assert space.pipelines.get_run(run_id).state == "waiting"
    assert [step for step, _ in lines(trace)] == ["approved"], "nothing has happened that it could wait for"
    space.pipelines.register("approved", steps=THREE)
    space.loop.tick()
    assert space.pipelines.get_run(run_id).state == "done"
    assert [step for step, _ in lines(trace)] == ["approved", "approved", "collect"]
    assert kinds(space).count("waiting") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("space", "victims"), [("sqlite", "controllers"), ("postgres", "both")], indirect=["space"])
def test_killed_controllers_are_replaced(space: LocalWorkspace, trace: Path, victims: str) -> None:
    space.pipelines.register("nightly", steps=named(steps.collect, steps.sleeps))
    run_id = space.pipelines.start("nightly", key="k", params={"trace": str(trace)}).id
    module = "tests.integration.pipelines.controlling_process"
    command = [sys.executable, "-m", module, space.settings.home, space.settings.catalog]
    controllers = subprocess.Popen(command)
    try:
        until(lambda: len(lines(trace)) == 2, "the second step was begun")
        child = lines(trace)[1][1]
        for pid in (controllers.pid, child)[: 2 if victims == "both" else 1]:
            os.kill(pid, signal.SIGKILL)
        controllers.wait()
        until(lambda: not is_alive(child), "a child does not outlive its controllers")
        before = space.pipelines.get_run(run_id)
        assert [(step.state, step.attempts) for step in before.steps] == [("done", 1), ("running", 1)]
        controllers = subprocess.Popen(command)
        until(lambda: len(lines(trace)) == 3, "the second step was begun again")
        after = space.pipelines.get_run(run_id)
        assert after.steps[0] == before.steps[0]
        assert after.steps[1].attempts == 2
        successor = lines(trace)[2][1]
        space.pipelines.cancel(run_id, reason="seen enough")
        until(lambda: not is_alive(successor), "the process of a cancelled run ends")
    finally:
        controllers.kill()
        controllers.wait()
    assert [step for step, _ in lines(trace)] == ["collect", "sleeps", "sleeps"]
    assert kinds(space) == ["registered", "registered", "started", "step_done", "cancelled"]


def test_a_closed_home_leaves_no_process(tmp_path: Path, trace: Path) -> None:
    with open_local(Settings(home=str(tmp_path / "home"))) as space:
        space.pipelines.register("nightly", steps=named(steps.sleeps))
        run_id = space.pipelines.start("nightly", key="k", params={"trace": str(trace)}).id
        lease = space.storage.leases.acquire("controllers", "test", 60.0)
        assert lease is not None
        (controller,) = (each for each in space._build_controllers() if each.name == "pipelines")
        while not lines(trace):
            controller.step(lease.fence)
        (_, child), *_ = lines(trace)
        assert is_alive(child)
        controller.close()
        assert not is_alive(child)
        assert space.pipelines.get_run(run_id).state == "running"
