"""The numbered laws of the journal of runs, and what one process does with the steps; on both catalogs."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.contract.pipelines import steps
from tests.contract.pipelines.steps import HERE, named
from tests.postgres import catalog_on
from tidegate.kernel.errors import Conflict, Unavailable
from tidegate.kernel.settings import Settings
from tidegate.pipelines import rules
from tidegate.pipelines.journal import Journal
from tidegate.pipelines.records import Journaled, PipelineRun
from tidegate.pipelines.running import run_steps
from tidegate.workspace import LocalWorkspace, open_local

START = datetime(2013, 7, 1, tzinfo=UTC)


def free(_connection: Any) -> None:
    """The fence of a lease that nobody contends for."""


@pytest.fixture(params=["sqlite", "postgres"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalWorkspace]:
    """A home with a simulated clock."""
    catalog = catalog_on(request.param, request)
    with open_local(Settings(home=str(tmp_path / "home"), catalog=catalog), simulated_clock=True) as opened:
        opened.loop.tick(START)
        yield opened


def started(space: LocalWorkspace, *functions: str, **params: object) -> str:
    space.pipelines.register("nightly", steps=functions)
    return space.pipelines.start("nightly", key=str(len(functions)), params=params).id


def worked(space: LocalWorkspace, run_id: str) -> PipelineRun:
    """Take the run up and work through it, in this process."""
    kept = space.pipeline_journal.take_up(run_id, free)
    return run_steps(space, space.pipeline_journal, run_id, kept.term, space.storage.clock)


def moves(journal: Journal, run_id: str, term: int, step: str) -> list[Callable[[], PipelineRun]]:
    """Everything that a process may write of its run."""
    return [
        functools.partial(journal.done, run_id, term, step, {"a": 1}),
        functools.partial(journal.wait, run_id, term, step, "approval", None),
        functools.partial(journal.fail, run_id, term, step, "broken"),
    ]


def test_law_1_a_step_its_fact_and_the_next_are_one_transaction(space: LocalWorkspace) -> None:
    run_id = started(space, *named(steps.collect, steps.train))
    term = space.pipeline_journal.take_up(run_id, free).term
    before = space.pipelines.get_run(run_id)
    journal = Journal(store=_store(space), events=_Deaf(), clock=space.storage.clock)
    cancel: Callable[[], PipelineRun] = functools.partial(journal.cancel, run_id, "not needed")
    for move in [*moves(journal, run_id, term, "collect"), cancel]:
        with pytest.raises(Unavailable):
            move()
        assert space.pipelines.get_run(run_id) == before
    run = space.pipeline_journal.done(run_id, term, "collect", {"a": 1})
    assert [(step.state, step.attempts, step.output) for step in run.steps] == [
        ("done", 1, {"a": 1}),
        ("running", 1, None),
    ]


def test_law_2_only_the_latest_process_moves_a_run(space: LocalWorkspace) -> None:
    journal = space.pipeline_journal
    run_id = started(space, *named(steps.collect, steps.train))
    old = journal.take_up(run_id, free).term
    new = journal.take_up(run_id, free).term
    assert new == old + 1
    for term in (old, new + 1):
        for move in moves(journal, run_id, term, "collect"):
            with pytest.raises(Conflict, match="another process has taken it up"):
                move()
    with pytest.raises(Conflict):
        run_steps(space, journal, run_id, old, space.storage.clock)
    run = journal.done(run_id, new, "collect", {})
    assert [step.state for step in run.steps] == ["done", "running"]
    for move in moves(journal, run_id, new, "collect"):
        with pytest.raises(Conflict, match="has ended already"):
            move()
    assert space.pipelines.get_run(run_id) == run
    cancelled = started(space, *named(steps.sleeps))
    term = journal.take_up(cancelled, free).term
    space.pipelines.cancel(cancelled, reason="not needed")
    for move in moves(journal, cancelled, term, "sleeps"):
        with pytest.raises(Conflict, match="was cancelled"):
            move()
    assert space.pipelines.get_run(cancelled).state == "cancelled"


def test_law_2_a_controller_without_the_lease_takes_nothing_up(space: LocalWorkspace) -> None:
    run_id = started(space, *named(steps.collect))
    lost = space.storage.leases.acquire("controllers", "one", 5.0)
    assert lost is not None
    space.storage.leases.release(lost)
    space.storage.leases.acquire("controllers", "another", 5.0)
    with pytest.raises(Conflict, match="has passed to another holder"):
        space.pipeline_journal.take_up(run_id, lost.fence)
    assert space.pipelines.get_run(run_id).state == "pending"


def test_law_3_a_step_is_begun_again_but_not_for_ever(space: LocalWorkspace) -> None:
    journal = space.pipeline_journal
    run_id = started(space, *named(steps.collect, steps.train))
    term = journal.take_up(run_id, free).term
    journal.done(run_id, term, "collect", {"rows": 1})
    for attempt in range(2, rules.MOST_ATTEMPTS + 1):
        kept = journal.take_up(run_id, free)
        assert [step.attempts for step in kept.run.steps] == [1, attempt]
        assert kept.run.steps[0].output == {"rows": 1}
    kept = journal.take_up(run_id, free)
    assert kept.run.state == "failed"
    assert "'train' was begun 3 times" in kept.run.reason
    assert journal.due() is None
    assert journal.take_up(run_id, free) == kept, "what has ended is not taken up"
    assert _facts(space)[-1] == ("failed", {"run": run_id, "step": "train", "reason": kept.run.reason})


def test_many_at_once_start_one_run_under_a_key(space: LocalWorkspace) -> None:
    space.pipelines.register("nightly", steps=named(steps.collect))
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: space.pipelines.start("nightly", key="k"), range(16)))
    assert len({run.id for run in runs}) == 1
    assert len(space.pipelines.runs("nightly").items) == 1
    assert [kind for kind, _ in _facts(space)] == ["registered", "started"]


def test_a_run_goes_through_its_steps(space: LocalWorkspace) -> None:
    run = worked(space, started(space, *named(steps.collect, steps.train, steps.deploy), rows=4))
    assert run.state == "done"
    assert run.outputs["collect"] == {"rows": 4, "at": START.isoformat()}
    assert run.outputs["deploy"]["deployed"] == run.outputs["train"]["run"]


def test_an_effect_begun_again_is_done_once(space: LocalWorkspace) -> None:
    run_id = started(space, *named(steps.collect, steps.train))
    term = space.pipeline_journal.take_up(run_id, free).term
    space.pipeline_journal.done(run_id, term, "collect", {"rows": 4})
    cut_off = space.pipelines.get_run(run_id)
    first = worked(space, run_id)
    _store(space).write(lambda: _store(space).keep(Journaled(cut_off, term, 0)))  # as if its output had been lost
    again = worked(space, run_id)
    assert first.outputs == again.outputs
    assert len(space.runs.list().items) == 1


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("refuses", "step 'refuses' failed: the gate said no"),
        ("breaks", "step 'breaks' raised ZeroDivisionError"),
        ("hoards", "at most 65,536: keep bytes and tables as objects"),
        ("whoever", "has no function 'whoever'"),
    ],
)
def test_a_step_that_fails_fails_its_run(space: LocalWorkspace, function: str, said: str) -> None:
    run = worked(space, started(space, *named(steps.collect), f"{HERE}:{function}", *named(steps.deploy)))
    assert run.state == "failed"
    assert said in run.reason
    assert [step.state for step in run.steps] == ["done", "failed", "pending"]
    assert _facts(space)[-1] == ("failed", {"run": run.id, "step": function, "reason": run.reason})


def test_a_module_that_is_not_there_fails_the_run(space: LocalWorkspace) -> None:
    run = worked(space, started(space, "no_such_package.flights:train"))
    assert "cannot be imported (No module named 'no_such_package')" in run.reason


def test_a_run_acts_as_who_started_it(space: LocalWorkspace) -> None:
    space.people.add("olga", role="maintainer")
    settings = msgspec.structs.replace(space.settings, actor="olga")
    with open_local(settings) as hers:
        run = worked(hers, started(hers, *named(steps.whoami)))
    assert run.by == "olga"
    assert "olga may not call people.add" in run.reason


def test_a_step_that_waits_is_asked_again(space: LocalWorkspace) -> None:
    run_id = started(space, *named(steps.approved, steps.matured))
    run = worked(space, run_id)
    assert (run.state, run.reason, run.asked_at) == ("waiting", "nobody has approved", START)
    assert space.pipeline_journal.due() is None, "nothing has happened"
    assert worked(space, run_id).state == "waiting"
    assert [kind for kind, _ in _facts(space)].count("waiting") == 1, "the same reason is a fact once"
    space.pipelines.register("approved", steps=named(steps.collect))
    due = space.pipeline_journal.due()
    assert due is not None
    assert due.run.id == run_id
    run = worked(space, run_id)
    assert (run.state, run.reason, run.outputs) == ("waiting", "labels are young", {"approved": {"by": "local"}})
    assert run.wait_until is not None
    assert run.wait_until == run.started_at + timedelta(days=1)
    assert space.pipeline_journal.due() is None
    space.storage.clock.advance(START + timedelta(days=1))  # type: ignore[attr-defined]
    assert space.pipeline_journal.due() is not None
    assert worked(space, run_id).state == "done"
    assert [kind for kind, _ in _facts(space)].count("waiting") == 2


class _Deaf:
    """Where no fact can be written."""

    def append(self, type_: str, subject: str, **data: object) -> None:
        raise Unavailable(f"{type_} of {subject} cannot be kept: {data}")

    def last_position(self) -> int:
        return 0


def _store(space: LocalWorkspace) -> Any:
    from tidegate.pipelines.store import SqlPipelines

    return SqlPipelines(space.storage.catalog)


def _facts(space: LocalWorkspace) -> list[tuple[str, dict[str, object]]]:
    from tidegate.events.store import EventLog

    storage = space.storage
    events = EventLog(storage.catalog, storage.clock, storage.ids).after(0, type_prefix="tidegate.pipelines.")
    return [(event.type.rpartition(".")[2], event.data) for event in events]
