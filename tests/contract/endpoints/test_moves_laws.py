"""The laws of `Moves`: what a rollout may do to an endpoint."""

from collections.abc import Callable

import pytest

import tidegate as tg
from tests.contract.endpoints.serving_home import ServingHome
from tidegate.endpoints.moves import Moves
from tidegate.endpoints.records import Deployment
from tidegate.kernel.context import Call
from tidegate.kernel.errors import Conflict, Unavailable


class Moved:
    """A home with a canary behind its endpoint `late`."""

    def __init__(self, home: ServingHome) -> None:
        self.home = home
        self.moves = Moves(home.store, home.models, home.engine.routing.expect_change)
        self.stable = home.deployed("linear, text", "late")
        version = home.promoted("boosting, text", "late")
        self.canary = home.endpoints.deploy("late", version, strategy=tg.canary())

    def do(self, *acts: Callable[[], None]) -> None:
        """In one transaction, as the rollouts controller does."""

        def work() -> None:
            for act in acts:
                act()

        self.home.catalog.write(lambda: self.home.dispatcher.on_behalf(Call(actor="controller:rollouts"), work))

    def everything(self) -> tuple[object, ...]:
        """What a promotion would change."""
        champion = self.home.models.resolve("late@champion").number
        return self.home.endpoints.get("late"), self.home.endpoints.deployments("late").items, champion


@pytest.fixture
def moved(serving_home: ServingHome) -> Moved:
    """A new home."""
    return Moved(serving_home)


@pytest.mark.parametrize("ended", ["withdrawn", "promoted", "rolled back", "retired"])
def test_law_1_only_a_live_canary_is_moved(moved: Moved, ended: str) -> None:
    ends: dict[str, Callable[[], object]] = {
        "withdrawn": lambda: moved.home.endpoints.withdraw("late", deployment=moved.canary.id),
        "promoted": lambda: moved.do(lambda: moved.moves.promote(moved.canary)),
        "rolled back": lambda: moved.do(lambda: moved.moves.end(moved.canary, "rolled_back")),
        "retired": lambda: moved.home.endpoints.retire("late"),
    }
    moved.do(lambda: moved.moves.give(moved.canary, 5.0))
    assert [one.share for one in moved.moves.canaries()] == [5.0]
    ends[ended]()
    assert moved.moves.canaries() == []
    before = moved.everything()
    acts: list[Callable[[Deployment], None]] = [
        moved.moves.promote,
        lambda canary: moved.moves.give(canary, 50.0),
        lambda canary: moved.moves.end(canary, "rolled_back"),
    ]
    for act in acts:
        for deployment in (moved.canary, moved.stable):
            with pytest.raises(Conflict, match="not the canary of endpoint late any more"):
                moved.do(lambda act=act, deployment=deployment: act(deployment))  # type: ignore[misc]
    assert moved.everything() == before


def test_law_2_a_promotion_is_whole(moved: Moved) -> None:
    before = moved.everything()

    def fail() -> None:
        raise Unavailable("the disk is full")

    with pytest.raises(Unavailable):
        moved.do(lambda: moved.moves.promote(moved.canary), fail)
    assert moved.everything() == before
    moved.do(lambda: moved.moves.promote(moved.canary))
    endpoint, deployments, champion = moved.everything()
    assert endpoint.live is not None  # type: ignore[attr-defined]
    assert endpoint.live.id == moved.canary.id  # type: ignore[attr-defined]
    assert [one.state for one in deployments] == ["live", "replaced"]  # type: ignore[attr-defined]
    assert champion == 2
    [alias] = moved.home.models.aliases("late")
    assert alias.moved_by == "controller:rollouts"
