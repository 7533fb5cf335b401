"""Laws of `RolloutController`, on homes with a simulated clock."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidegate as tg
from tests.contract.rollouts.flown_flights import MATRIX, TRUTH, FlownFlights, classifier, row_of
from tests.contract.rollouts.rolled_home import controller_of, kept_in, settle
from tests.postgres import catalog_on
from tidegate.endpoints.records import Deployment, OutcomeIn
from tidegate.endpoints.splitting import goes_to_canary
from tidegate.kernel.errors import Conflict
from tidegate.predictions.codecs import CODECS
from tidegate.rollouts.records import KeptRollout
from tidegate.rollouts.store import SqlRollouts
from tidegate.statistics import PairedNonInferiorityTest, PairedTest
from tidegate.storage.journal import SealResult, seal_once
from tidegate.testing.workspaces import Home


class Begun(FlownFlights):
    """A home whose canary answers 20 % of the traffic."""

    def __init__(self, home: Home, *, outcome_independent: bool = True) -> None:
        super().__init__(home)
        self.inside = home.inside
        self.inside.endpoints.deploy("late", self.promoted("good"), outcome_independent=outcome_independent)
        self.canary = self.deploy()
        settle(self.inside)

    def deploy(self) -> Deployment:
        strategy = tg.canary(steps=[20, 50, 100], rows=100_000)
        return self.inside.endpoints.deploy("late", self.promoted("alike"), strategy=strategy)

    @property
    def kept(self) -> KeptRollout:
        return kept_in(self.inside, self.canary.id)

    def label(self, ids: list[str], first: int) -> None:
        """Tell what became of predictions, the first of which was of this flight."""
        now = self.now()
        told = [OutcomeIn(one, str(TRUTH[first + place]), now) for place, one in enumerate(ids)]
        self.inside.endpoints.labels("late", told)

    def seal(self) -> None:
        """End the segment, and seal whatever nobody writes any more."""
        storage = self.inside.storage
        self.inside.log._writer().roll()
        seal = lambda: seal_once(  # noqa: E731 - called until nothing is left
            storage.journal_folder,
            index=storage.journal_index,
            objects=storage.objects,
            codecs=CODECS,
            clock=storage.clock,
        )
        assert list(iter(seal, SealResult()))


@pytest.fixture(params=["sqlite", "postgres"])
def begun(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begun]:
    """A home in which a rollout has begun."""
    home = Home(tmp_path / "home", "local", catalog_on(request.param, request), simulated_clock=True)
    yield Begun(home)
    home.close()


def losses(count: int) -> tuple[list[float], list[float]]:
    """The Brier losses of stable and canary on the first flights, by the models themselves."""
    happened = TRUTH[:count] == "on time"
    both = (classifier(kind).predict_proba(MATRIX[:count])[:, 1] for kind in ("good", "alike"))
    stable, canary = (((shares - happened) ** 2).tolist() for shares in both)
    return stable, canary


def assert_evidence(begun: Begun, count: int) -> None:
    """The evidence is that of the models' own losses on the first flights, in their order."""
    worse, not_worse = PairedTest(0.025, 0.01), PairedNonInferiorityTest(0.01, 0.05)
    stable, canary = losses(count)
    for test in (worse, not_worse):
        test.observe_many(stable=stable, candidate=canary)
    shown = {one.guard: one for one in begun.kept.rollout.evidence}
    for guard, test in (("quality", worse), ("not_worse", not_worse)):
        assert shown[guard].rows == count  # type: ignore[index]
        assert shown[guard].evidence == pytest.approx(test.evidence, abs=1e-4)  # type: ignore[index]


@pytest.mark.parametrize("batch", [7, 50_000])
def test_law_3_every_label_is_paired_however_the_log_is_cut(begun: Begun, batch: int) -> None:
    ids = begun.fly(60, label=False)
    settle(begun.inside, batch=batch)
    assert begun.kept.pending
    assert begun.kept.rollout.reason.startswith("at 20 % it waits for 99,940 more rows and 100 more labels")
    begun.label(ids[:25], 0)
    begun.seal()
    settle(begun.inside, batch=batch)
    begun.label(ids[20:40], 20)  # five of them again: the first label of a prediction counts
    begun.seal()
    begun.label(ids[40:], 40)
    more = begun.fly(30)
    begun.label([begun.inside.log.ids.new(), *more[:3]], 0)  # of a prediction that nobody made, and second ones
    settle(begun.inside, batch=batch)
    kept = begun.kept
    assert (kept.rollout.rows, kept.rollout.labels, kept.pending) == (90, 90, "")
    assert_evidence(begun, 90)
    split = next(one for one in kept.rollout.evidence if one.guard == "errors")
    assert (split.rows, split.canary_rows) == (90, sum(goes_to_canary(one, 0.2) for one in [*ids, *more]))
    settle(begun.inside, batch=batch)
    assert begun.kept == kept, "nothing new changes nothing"


def test_law_2_a_step_reads_only_the_news(begun: Begun) -> None:
    begun.fly(40)
    begun.seal()
    settle(begun.inside)
    for part in begun.inside.storage.journal_index.list():
        begun.inside.storage.objects.delete(part.digest)  # reading any of them would now raise
    begun.fly(10)
    settle(begun.inside)
    assert begun.kept.rollout.labels == 50


def test_law_4_what_was_logged_before_is_not_seen(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", "local", simulated_clock=True)
    try:
        begun = Begun(home)
        begun.fly(20)
        home.workspace.rollouts.cancel(begun.canary.id)
        begun.fly(20)  # nobody follows the log now
        begun.canary = begun.deploy()
        settle(home.inside)
        begun.fly(15)
        settle(home.inside)
        assert (begun.kept.rollout.rows, begun.kept.rollout.labels) == (15, 15)
    finally:
        home.close()


def test_law_1_a_fence_of_an_old_term_refuses(begun: Begun) -> None:
    storage = begun.inside.storage
    old = storage.leases.acquire("controllers", "the first", 5.0)
    assert old is not None
    begun.fly(30)
    before = begun.kept
    storage.leases.release(old)
    assert storage.leases.acquire("controllers", "the second", 5.0) is not None
    with pytest.raises(Conflict, match="passed to another holder"):
        controller_of(begun.inside).step(old.fence)
    assert begun.kept == before
    settle(begun.inside)
    assert begun.kept.rollout.labels == 30


@pytest.mark.parametrize("act", ["cancel", "withdraw", "another controller"])
def test_law_1_a_controller_that_was_overtaken_saves_nothing(begun: Begun, act: str) -> None:
    begun.fly(30)
    acts: dict[str, Callable[[], Any]] = {
        "cancel": lambda: begun.inside.rollouts.cancel(begun.canary.id),
        "withdraw": lambda: begun.inside.endpoints.withdraw("late", deployment=begun.canary.id),
        "another controller": lambda: settle(begun.inside),
    }

    def overtake(stage: str) -> None:
        if stage == "stored":
            acts[act]()

    slow = controller_of(begun.inside, observe=overtake)
    if act == "withdraw":
        slow.step()  # evidence of a canary that was withdrawn meanwhile does no harm: the next step sees it
    else:
        with pytest.raises(Conflict, match="changed meanwhile"):
            slow.step()
    settle(begun.inside)
    rollout = begun.kept.rollout
    assert rollout.state == ("running" if act == "another controller" else "cancelled")
    assert rollout.labels in (0, 30)
    assert begun.inside.endpoints.predict("late", [row_of(MATRIX[0])]).predictions[0].model in ("late/1", "late/2")


def test_many_canaries_at_once(begun: Begun) -> None:
    inside = begun.inside
    for name in ("a", "b"):
        inside.endpoints.deploy(name, "late/1", outcome_independent=name == "a")
        inside.endpoints.deploy(name, "late/2", strategy=tg.canary(steps=[50, 100]))
    settle(inside)
    for name, count in (("a", 30), ("b", 40)):
        answers = inside.endpoints.predict(name, [row_of(flight) for flight in MATRIX[:count]]).predictions
        told = [OutcomeIn(one.id, str(truth), begun.now()) for one, truth in zip(answers, TRUTH, strict=False)]
        inside.endpoints.labels(name, told)
    settle(inside, batch=9)
    by_name = {one.endpoint: one for one in inside.rollouts.list().items}
    assert by_name["a"].rows == 30
    assert by_name["a"].paired
    apart = {one.guard: one for one in by_name["b"].evidence}
    assert apart["quality"].rows == 40
    assert by_name["b"].rows == apart["errors"].canary_rows
    assert by_name["late"].rows == 0
    assert len(SqlRollouts(inside.storage.catalog).following().running) == 3


def test_a_failing_canary_is_rolled_back_by_its_errors(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", "local", simulated_clock=True)
    try:
        begun = Begun(home, outcome_independent=False)
        route = home.inside.engine.routing.find("late")
        assert route.canary is not None

        def broken(matrix: object) -> object:
            raise ArithmeticError("the model on trial is broken")

        route.canary._predict = broken  # type: ignore[assignment]
        for _ in range(12):
            begun.fly(40, label=False)
            settle(home.inside)
        rollout = begun.kept.rollout
        assert rollout.state == "rolled_back"
        assert "fail more often" in rollout.reason
        errors = next(one for one in rollout.evidence if one.guard == "errors")
        assert errors.canary_events == errors.canary_rows == errors.events
        assert np.isfinite(errors.evidence)
        home.workspace.loop.tick()
        windows = home.workspace.monitors.latest("late").newest
        assert [(window.model, window.failed) for window in windows] == [("late/1", 0)], "stable answered every row"
    finally:
        home.close()
