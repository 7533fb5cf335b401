"""The numbered laws of the retrainer: what is due is fired once, what is held back is written down."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.contract.loop.retraining_home import DAY, ENDPOINT, MONTHLY, START, audited, facts, reasons, traces
from tests.contract.monitors.test_drift_service import reference_frame
from tests.contract.monitors.windy_days import Change, log_days
from tidegate.events.store import EventLog
from tidegate.kernel.errors import Conflict, Refused, Unavailable
from tidegate.loop.records import KeptPolicy
from tidegate.loop.retrainer import Retrainer
from tidegate.loop.retraining import Retraining
from tidegate.loop.situation import Witness
from tidegate.loop.store import SqlRetraining
from tidegate.monitors.store import SqlDrift, SqlMonitors
from tidegate.pipelines.store import SqlPipelines
from tidegate.rollouts.store import SqlRollouts
from tidegate.testing.workspaces import Home

on_both_catalogs = pytest.mark.parametrize("learning", ["local-sqlite", "local-postgres"], indirect=True)


def test_law_1_and_3_what_is_due_is_fired_once_in_the_name_of_who_set_the_policy(learning: Home) -> None:
    space = learning.workspace
    space.people.add("keeper", role="maintainer")
    learning.acting("keeper").retraining.set_policy(ENDPOINT, policy=MONTHLY)
    log_days(learning.inside.log, range(2), rows=5)
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
    assert [each for each in audited(learning) if each[2] == ENDPOINT][-1] == ("retraining.fired", "keeper", ENDPOINT)
    space.loop.tick()
    space.loop.tick(START + 59 * DAY)
    assert space.retraining.decisions(ENDPOINT).items == [made]


@on_both_catalogs
def test_law_2_and_4_a_broken_input_holds_everything_back_and_is_written_down_once(learning: Home) -> None:
    space = learning.workspace
    space.monitors.set_reference(ENDPOINT, reference_frame(), at="at")
    space.retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(MONTHLY, drift=True, schedule_days=5))
    log_days(learning.inside.log, range(6), Change(2, wind=0.44704), rows=40)
    space.loop.tick(START + 7 * DAY)
    (made,) = space.retraining.decisions(ENDPOINT).items  # though the calendar came first, before the days were judged
    assert (made.fired, made.proposal, made.reason, made.run) == (False, "drift", "broken_input", "")
    assert "wind is broken: mend its source first" in made.summary
    assert [kind for kind, _ in facts(learning)][-1] == "retraining_suppressed"
    space.loop.tick(START + 8 * DAY)
    assert space.retraining.decisions(ENDPOINT).items == [made]
    with pytest.raises(Refused, match="not trained anew now: wind is broken") as caught:
        space.retraining.retrain(ENDPOINT, reason="I insist")
    assert caught.value.details == {"endpoint": ENDPOINT, "reason": "broken_input"}
    assert space.pipelines.runs("retraining").items == []


@on_both_catalogs
def test_law_2_each_new_reason_is_written_down(learning: Home) -> None:
    space = learning.workspace
    retrainer = controller(learning)
    few = msgspec.structs.replace(MONTHLY, minimum_labels=1_000)
    space.retraining.set_policy(ENDPOINT, policy=few)
    space.loop.tick(START + 30 * DAY)
    retrainer.step()
    assert reasons(learning) == ["few_labels"]
    space.retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(few, minimum_labels=2_000))
    retrainer.step()
    retrainer.step()
    assert reasons(learning) == ["few_labels"] * 2, "another policy says so"
    asked = space.retraining.retrain(ENDPOINT, reason="now")
    space.pipelines.cancel(asked.run, reason="not needed")
    space.retraining.set_policy(ENDPOINT, policy=msgspec.structs.replace(few, schedule_days=1, cool_down_days=3))
    for day in (31, 32, 33, 34):
        space.loop.tick(START + day * DAY)
    assert reasons(learning) == ["few_labels", "few_labels", "asked", "cooling_down", "few_labels"]


@on_both_catalogs
def test_law_1_a_decision_is_written_with_everything_that_belongs_to_it_or_not_at_all(learning: Home) -> None:
    due(learning)
    before = traces(learning)
    deaf = _Deaf()
    for broken in (controller(learning, facts=deaf), controller(learning, audit=deaf)):
        with pytest.raises(Unavailable):
            broken.step()
        assert traces(learning) == before
    assert deaf.heard == ["tidegate.loop.retraining_fired", "retraining.fired"], "all else was written by then"
    assert controller(learning).step() == 0.0
    _, _, facts_before, audit_before = before
    assert traces(learning) == (["due"], 1, facts_before + 2, audit_before + 1)  # the run's start is a fact, too


@on_both_catalogs
def test_law_1_an_old_leader_starts_nothing(learning: Home) -> None:
    due(learning)
    before = traces(learning)
    leases = learning.inside.storage.leases
    lost = leases.acquire("controllers", "one", 5.0)
    assert lost is not None
    leases.release(lost)
    leases.acquire("controllers", "another", 5.0)
    with pytest.raises(Conflict, match="has passed to another holder"):
        controller(learning).step(lost.fence)
    assert traces(learning) == before


@on_both_catalogs
def test_law_1_of_many_at_once_one_fires(learning: Home) -> None:
    due(learning)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: controller(learning).step(), range(8)))
    assert answers.count(0.0) == 1
    assert reasons(learning) == ["due"]
    assert len(learning.workspace.pipelines.runs("retraining").items) == 1


@on_both_catalogs
def test_law_3_who_may_no_longer_start_it_starts_nothing(learning: Home) -> None:
    space = learning.workspace
    space.people.add("keeper", role="maintainer")
    learning.acting("keeper").retraining.set_policy(ENDPOINT, policy=MONTHLY)
    space.people.revoke("keeper", role="maintainer")
    log_days(learning.inside.log, range(2), rows=5)
    space.loop.tick(START + 30 * DAY)
    (held,) = space.retraining.decisions(ENDPOINT).items
    assert (held.fired, held.reason, held.by) == (False, "not_permitted", "keeper")
    assert "keeper may not start pipeline retraining: it needs the role maintainer" in held.summary
    space.people.grant("keeper", role="maintainer")
    space.loop.tick()
    assert reasons(learning) == ["not_permitted", "due"]


@on_both_catalogs
def test_a_policy_that_was_changed_while_it_was_looked_at_is_not_acted_upon(learning: Home) -> None:
    kept = due(learning)
    store = _Late(learning.inside.storage.catalog, kept)
    learning.workspace.retraining.set_policy(ENDPOINT, policy=MONTHLY, active=False)
    assert controller(learning, store=store).step() == 5.0
    assert controller(learning).step() == 5.0
    assert reasons(learning) == []


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
        windows=SqlMonitors(storage.catalog),
        episodes=SqlDrift(storage.catalog),
        runs=SqlPipelines(storage.catalog),
        canaries=SqlRollouts(storage.catalog),
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
