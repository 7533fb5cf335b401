"""The policy of retraining through the whole stack: set, asked for by hand, and kept to by its controller."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.contract.conftest import WAYS
from tests.contract.loop import training_steps
from tests.contract.monitors.test_drift_service import reference_frame
from tests.contract.monitors.windy_days import Change, log_days
from tests.slices import deployed
from tidegate.events.store import EventLog
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Unavailable
from tidegate.loop.policy import RetrainingPolicy
from tidegate.loop.records import KeptPolicy
from tidegate.loop.retrainer import Retrainer
from tidegate.loop.retraining import Retraining
from tidegate.loop.situation import Witness
from tidegate.loop.store import SqlRetraining
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace

START = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ENDPOINT = "windy"
MONTHLY = RetrainingPolicy(pipeline="retraining", schedule_days=30, drift=False, cool_down_days=7, minimum_labels=1)

on_both_catalogs = pytest.mark.parametrize("home", ["local-sqlite", "local-postgres"], indirect=True)


@pytest.fixture(params=WAYS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A home with a simulated clock and a deployed model, reached in one of four ways."""
    way, _, database = request.param.partition("-")
    catalog = request.getfixturevalue("databases").new() if database == "postgres" else ""
    made = Home(tmp_path / "home", way, catalog, simulated_clock=True)
    made.workspace.loop.tick(START)
    version = deployed(made).version
    made.workspace.endpoints.deploy(ENDPOINT, version)
    made.workspace.pipelines.register("retraining", steps=(f"{training_steps.HERE}:train",))
    yield made
    made.close()
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


def test_a_policy_is_set_and_shown(home: Home, acting: Callable[[str], Workspace]) -> None:
    retraining = home.workspace.retraining
    with pytest.raises(NotFound, match="has no retraining policy"):
        retraining.policy(ENDPOINT)
    kept = retraining.set_policy(ENDPOINT, policy=MONTHLY)
    assert (kept.endpoint, kept.policy, kept.active, kept.set_by, kept.set_at) == (
        ENDPOINT, MONTHLY, True, "local", home.inside.storage.clock.now(),
    )  # fmt: skip
    assert retraining.policy(ENDPOINT) == kept
    paused = retraining.set_policy(ENDPOINT, policy=MONTHLY, active=False)
    assert (paused.active, paused.digest) == (False, kept.digest)
    assert retraining.policy(ENDPOINT) == paused
    weekly = retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(MONTHLY, schedule_days=7))
    assert weekly.digest != kept.digest
    assert [each["policy"] for _, each in facts(home)] == [kept.digest, paused.digest, weekly.digest]
    assert audited(home) == [("retraining.set_policy", "local", ENDPOINT)] * 3

    home.workspace.people.add("reader", role="contributor")
    with pytest.raises(Forbidden, match="needs the role maintainer"):
        acting("reader").retraining.set_policy(ENDPOINT, policy=MONTHLY)
    with pytest.raises(Forbidden, match="needs the role maintainer"):
        acting("reader").retraining.retrain(ENDPOINT, reason="I want to")
    assert acting("reader").retraining.policy(ENDPOINT) == weekly
    with pytest.raises(NotFound, match="no endpoint 'nowhere'"):
        retraining.set_policy("nowhere", policy=MONTHLY)
    with pytest.raises(NotFound, match="no pipeline 'unheard of'"):
        retraining.set_policy(ENDPOINT, policy=RetrainingPolicy(pipeline="unheard of"))
    for nonsense, words in NONSENSE:
        with pytest.raises(Invalid, match=words):
            retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(MONTHLY, **nonsense))
    assert retraining.policy(ENDPOINT) == weekly, "what was refused has changed nothing"


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"pipeline": "../x"}, "'../x' is not a name"),
    ({"schedule_days": 0.5}, "1 or more; leave it out"),
    ({"cool_down_days": -1.0}, "cool_down_days must be from 0"),
    ({"budget": 0}, "budget must be from 1 to 1,000"),
    ({"params": {"endpoint": "another"}}, "every run gets a 'endpoint' of its own"),
    ({"params": {"seed": 2**63}}, "9223372036854775808"),
    ({"params": {"text": "x" * 40_000}}, "40,011 bytes of JSON, at most 32,768"),
]


def test_a_person_asks_and_is_refused_a_second_run(home: Home) -> None:
    space = home.workspace
    with pytest.raises(NotFound, match="no retraining policy"):
        space.retraining.retrain(ENDPOINT, reason="new data")
    space.pipelines.register("patient", steps=(f"{training_steps.HERE}:approved",))
    policy = RetrainingPolicy(pipeline="patient", params={"rate": 0.1, "trees": 40})
    kept = space.retraining.set_policy(ENDPOINT, policy=policy, active=False)
    with pytest.raises(Invalid, match="say why"):
        space.retraining.retrain(ENDPOINT, reason=" ")
    made = space.retraining.retrain(ENDPOINT, reason="new data")
    assert (made.fired, made.proposal, made.reason, made.by, made.policy, made.at) == (
        True, "asked", "asked", "local", kept.digest, START,
    )  # fmt: skip
    assert made.summary == "local asked for it: new data"
    space.loop.tick()
    run = space.pipelines.get_run(made.run)
    assert (run.state, run.by, run.key, run.reason) == ("waiting", "local", made.id, "nobody has approved")
    assert run.params == {"rate": 0.1, "trees": 40, "endpoint": ENDPOINT, "reason": made.summary}

    space.retraining.set_policy(ENDPOINT, policy=MONTHLY)  # of another pipeline: the run is under way all the same
    with pytest.raises(Refused, match=f"not trained anew now: run {made.run} of pipeline patient is under way"):
        space.retraining.retrain(ENDPOINT, reason="again")
    space.loop.tick(START + 40 * DAY)
    assert space.retraining.decisions(ENDPOINT).items == [made], "nothing is due beside a run that is under way"
    space.pipelines.cancel(made.run, reason="not needed")
    again = space.retraining.retrain(ENDPOINT, reason="again, and the cool-down does not hold a person back")
    first = space.retraining.decisions(ENDPOINT, limit=1)
    assert first.items == [again]
    rest = space.retraining.decisions(ENDPOINT, limit=1, cursor=first.next or "")
    assert (rest.items, rest.next) == ([made], None)
    assert space.retraining.decisions("nowhere").items == []
    told = [(kind, each["run"]) for kind, each in facts(home) if "run" in each]
    assert told == [("retraining_fired", made.run), ("retraining_fired", again.run)]
    asked = [each for each in audited(home) if each[0] == "retraining.retrain"]
    assert asked == [("retraining.retrain", "local", ENDPOINT)] * 2


def test_law_1_and_3_what_is_due_is_fired_once_in_the_name_of_who_set_the_policy(
    home: Home, acting: Callable[[str], Workspace]
) -> None:
    space = home.workspace
    space.people.add("keeper", role="maintainer")
    acting("keeper").retraining.set_policy(ENDPOINT, policy=MONTHLY)
    log_days(home.inside.log, range(2), rows=5)
    space.loop.tick(START + 30 * DAY - timedelta(seconds=1))
    assert space.retraining.decisions(ENDPOINT).items == []
    space.loop.tick(START + 30 * DAY)
    (made,) = space.retraining.decisions(ENDPOINT).items
    assert (made.fired, made.proposal, made.reason, made.by, made.at) == (
        True, "schedule", "due", "keeper", START + 30 * DAY,
    )  # fmt: skip
    run = space.pipelines.get_run(made.run)
    assert (run.state, run.by, run.pipeline) == ("done", "keeper", "retraining")
    trained = space.runs.get(str(run.outputs["train"]["run"]))
    assert trained.actor == "keeper"
    assert trained.params == {"endpoint": ENDPOINT, "reason": "it is due by the calendar"}
    assert [each for each in audited(home) if each[2] == ENDPOINT][-1] == ("retraining.fired", "keeper", ENDPOINT)
    space.loop.tick()
    space.loop.tick(START + 59 * DAY)
    assert space.retraining.decisions(ENDPOINT).items == [made]


@on_both_catalogs
def test_law_2_and_4_a_broken_input_holds_everything_back_and_is_written_down_once(home: Home) -> None:
    space = home.workspace
    space.monitors.set_reference(ENDPOINT, reference_frame(), at="at")
    space.retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(MONTHLY, drift=True, schedule_days=5))
    log_days(home.inside.log, range(6), Change(2, wind=0.44704), rows=40)
    space.loop.tick(START + 7 * DAY)
    (made,) = space.retraining.decisions(ENDPOINT).items  # though the calendar came first, before the days were judged
    assert (made.fired, made.proposal, made.reason, made.run) == (False, "drift", "broken_input", "")
    assert "wind is broken: mend its source first" in made.summary
    assert [kind for kind, _ in facts(home)][-1] == "retraining_suppressed"
    space.loop.tick(START + 8 * DAY)
    assert space.retraining.decisions(ENDPOINT).items == [made]
    with pytest.raises(Refused, match="not trained anew now: wind is broken") as caught:
        space.retraining.retrain(ENDPOINT, reason="I insist")
    assert caught.value.details == {"endpoint": ENDPOINT, "reason": "broken_input"}
    assert space.pipelines.runs("retraining").items == []


@on_both_catalogs
def test_law_2_each_new_reason_is_written_down(home: Home) -> None:
    space = home.workspace
    retrainer = controller(home)
    few = msgspec.structs.replace(MONTHLY, minimum_labels=1_000)
    space.retraining.set_policy(ENDPOINT, policy=few)
    space.loop.tick(START + 30 * DAY)
    retrainer.step()
    assert reasons(home) == ["few_labels"]
    space.retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(few, minimum_labels=2_000))
    retrainer.step()
    retrainer.step()
    assert reasons(home) == ["few_labels"] * 2, "another policy says so"
    asked = space.retraining.retrain(ENDPOINT, reason="now")
    space.pipelines.cancel(asked.run, reason="not needed")
    space.retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(few, schedule_days=1, cool_down_days=3))
    for day in (31, 32, 33, 34):
        space.loop.tick(START + day * DAY)
    assert reasons(home) == ["few_labels", "few_labels", "asked", "cooling_down", "few_labels"]


@on_both_catalogs
def test_law_1_a_decision_is_written_with_everything_that_belongs_to_it_or_not_at_all(home: Home) -> None:
    due(home)
    before = traces(home)
    deaf = _Deaf()
    for broken in (controller(home, facts=deaf), controller(home, audit=deaf)):
        with pytest.raises(Unavailable):
            broken.step()
        assert traces(home) == before
    assert deaf.heard == ["tidegate.loop.retraining_fired", "retraining.fired"], "all else was written by then"
    assert controller(home).step() == 0.0
    _, _, facts_before, audit_before = before
    assert traces(home) == (["due"], 1, facts_before + 2, audit_before + 1)  # the run's start is a fact, too


@on_both_catalogs
def test_law_1_an_old_leader_starts_nothing(home: Home) -> None:
    due(home)
    before = traces(home)
    leases = home.inside.storage.leases
    lost = leases.acquire("controllers", "one", 5.0)
    assert lost is not None
    leases.release(lost)
    leases.acquire("controllers", "another", 5.0)
    with pytest.raises(Conflict, match="has passed to another holder"):
        controller(home).step(lost.fence)
    assert traces(home) == before


@on_both_catalogs
def test_law_1_of_many_at_once_one_fires(home: Home) -> None:
    due(home)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: controller(home).step(), range(8)))
    assert answers.count(0.0) == 1
    assert reasons(home) == ["due"]
    assert len(home.workspace.pipelines.runs("retraining").items) == 1


@on_both_catalogs
def test_law_3_who_may_no_longer_start_it_starts_nothing(home: Home, acting: Callable[[str], Workspace]) -> None:
    space = home.workspace
    space.people.add("keeper", role="maintainer")
    acting("keeper").retraining.set_policy(ENDPOINT, policy=MONTHLY)
    space.people.revoke("keeper", role="maintainer")
    log_days(home.inside.log, range(2), rows=5)
    space.loop.tick(START + 30 * DAY)
    (held,) = space.retraining.decisions(ENDPOINT).items
    assert (held.fired, held.reason, held.by) == (False, "not_permitted", "keeper")
    assert "keeper may not start pipeline retraining: it needs the role maintainer" in held.summary
    space.people.grant("keeper", role="maintainer")
    space.loop.tick()
    assert reasons(home) == ["not_permitted", "due"]


@on_both_catalogs
def test_a_policy_that_was_changed_while_it_was_looked_at_is_not_acted_upon(home: Home) -> None:
    kept = due(home)
    store = _Late(home.inside.storage.catalog, kept)
    home.workspace.retraining.set_policy(ENDPOINT, policy=MONTHLY, active=False)
    assert controller(home, store=store).step() == 5.0
    assert controller(home).step() == 5.0
    assert reasons(home) == []


def due(home: Home) -> KeptPolicy:
    """Set a policy, and let everything come that it waits for."""
    log_days(home.inside.log, range(2), rows=5)
    home.workspace.loop.tick(START + 30 * DAY)
    return home.workspace.retraining.set_policy(ENDPOINT, policy=MONTHLY)


def controller(home: Home, *, facts: Any = None, audit: Any = None, store: Any = None, watch: Any = None) -> Retrainer:
    """The home's retrainer, or one with a part of the test's own."""
    inside, storage = home.inside, home.inside.storage
    witness = Witness(
        endpoints=inside.endpoints,
        monitors=inside.monitors,
        rollouts=inside.rollouts,
        pipelines=inside.pipelines,
        clock=storage.clock,
    )
    log = facts or EventLog(storage.catalog, storage.clock, storage.ids)
    kept = store or SqlRetraining(storage.catalog)
    retraining = Retraining(store=kept, witness=witness, clock=storage.clock, ids=storage.ids, facts=log)
    vars(retraining).update(vars(inside.retraining), _store=kept, _facts=log)
    return Retrainer(
        store=kept,
        transactions=storage.catalog,
        authority=inside.dispatcher,
        audit=audit or storage.audit,
        witness=witness,
        watch=watch or _AllSeen(),
        retraining=retraining,
    )


class _AllSeen:
    """Nothing is left to look at: the tests have ticked before."""

    def behind(self, _endpoint: str) -> bool:
        return False


class _Deaf:
    """Neither facts nor audit can be written."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def append(self, what: Any, *_subject: Any, **_data: Any) -> None:
        self.heard.append(what if isinstance(what, str) else what.operation)
        raise Unavailable("the disk is full")


class _Late(SqlRetraining):
    """Was asked for the policies a moment before they were changed."""

    def __init__(self, catalog: Any, kept: KeptPolicy) -> None:
        super().__init__(catalog)
        self._kept = kept

    def active(self) -> list[KeptPolicy]:
        """As they were."""
        return [self._kept]


def reasons(home: Home) -> list[str]:
    """Why it was decided so, the oldest first."""
    return [each.reason for each in reversed(home.workspace.retraining.decisions(ENDPOINT).items)]


def facts(home: Home) -> list[tuple[str, dict[str, Any]]]:
    """What the room said."""
    storage = home.inside.storage
    events = EventLog(storage.catalog, storage.clock, storage.ids).after(0, type_prefix="tidegate.loop.")
    return [(event.type.rpartition(".")[2], event.data) for event in events]


def audited(home: Home) -> list[tuple[str, str, str]]:
    """Which changes of the room were made, by whom, of what, the oldest first."""
    rows = home.inside.audit.list(limit=1000).items
    mine = [row for row in rows if row.operation.startswith("retraining.") and row.outcome == "ok"]
    return [(row.operation, row.actor, row.subject) for row in reversed(mine)]


def traces(home: Home) -> tuple[list[str], int, int, int]:
    """Whatever a retraining leaves: decisions, runs, facts, rows of the audit."""
    storage = home.inside.storage
    return (
        reasons(home),
        len(home.inside.pipelines.runs("retraining").items),
        len(EventLog(storage.catalog, storage.clock, storage.ids).after(0)),
        len(home.inside.audit.list(limit=1000).items),
    )
