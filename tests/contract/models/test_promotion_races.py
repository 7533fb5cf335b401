"""Two people at once: promotions, aliases and registrations each have one winner, and the loser hears why."""

import threading
from collections.abc import Callable
from typing import Any

from tests.contract.models.late_models import manifest, registered
from tidegate.kernel.errors import Conflict, Refused, TidegateError
from tidegate.models.records import StagePolicy
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace


def race(*works: Callable[[], Any]) -> list[Any]:
    """What each work answered, or its error, all begun at once."""
    gate, found = threading.Barrier(len(works)), [None] * len(works)

    def run(place: int) -> None:
        gate.wait(10)
        try:
            found[place] = works[place]()
        except TidegateError as error:
            found[place] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_of_two_promoters_one_wins_and_the_other_hears_why(workspace: Workspace) -> None:
    for number in range(1, 6):
        registered(workspace, "late", bytes([number]))
        found = race(*[lambda: workspace.models.promote("late", number, to="staging")] * 2)  # noqa: B023
        assert sorted(type(one).__name__ for one in found) == ["Conflict", "ModelVersion"]
        loser = next(one for one in found if isinstance(one, Conflict))
        assert "in staging already" in loser.message


def test_of_two_swaps_of_an_alias_one_wins(workspace: Workspace) -> None:
    for number in (1, 2, 3):
        registered(workspace, "late", bytes([number]))
    workspace.models.set_alias("late", "champion", number=1)
    found = race(
        lambda: workspace.models.set_alias("late", "champion", number=2, expected=1),
        lambda: workspace.models.set_alias("late", "champion", number=3, expected=1),
    )
    assert sum(isinstance(one, Conflict) for one in found) == 1
    winner = next(one for one in found if not isinstance(one, Conflict))
    assert workspace.models.resolve("late@champion").number == winner.number


def test_versions_registered_at_once_are_numbered_without_gaps(workspace: Workspace) -> None:
    made = [manifest(workspace, "late", bytes([number])) for number in range(6)]
    found = race(*[lambda one=one: workspace.models.register("late", one) for one in (*made, *made)])
    assert sorted({one.number for one in found}) == [1, 2, 3, 4, 5, 6]
    assert len({(one.number, one.digest) for one in found}) == 6


def test_a_stricter_policy_and_a_promotion_never_cross(home: Home) -> None:
    """Either the promotion came first, or it was refused: never production under a policy that forbids it."""
    workspace = home.workspace
    for number in range(1, 4):
        name = f"late-{number}"
        registered(workspace, name)
        workspace.models.set_policy(name, "production", policy=StagePolicy())
        strict = StagePolicy(approvals=1)
        promoted, kept = race(
            lambda: workspace.models.promote(name, 1, to="production"),  # noqa: B023
            lambda: workspace.models.set_policy(name, "production", policy=strict),  # noqa: B023
        )
        rows = home.inside.audit.list(limit=20).items
        order = [row.operation for row in rows if row.subject.startswith(name)]
        assert kept.policy == strict
        if isinstance(promoted, Refused):
            assert workspace.models.get(name, 1).stage == "development"
        else:
            assert order.index("models.promote") > order.index("models.set_policy"), "newest first"
