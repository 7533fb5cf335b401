"""A controller of rollouts on a home that is open in this process, cut and watched as a test wants it."""

from collections.abc import Callable
from typing import Any

from tidegate.endpoints.moves import Moves
from tidegate.endpoints.store import SqlEndpoints
from tidegate.events.store import EventLog
from tidegate.predictions.following import Follower
from tidegate.predictions.records import LABELS, PREDICTIONS
from tidegate.rollouts.acts import Acts, writing
from tidegate.rollouts.controller import RolloutController, Stage
from tidegate.rollouts.records import KeptRollout
from tidegate.rollouts.store import SqlRollouts
from tidegate.workspace.local import LocalWorkspace


def controller_of(
    inside: LocalWorkspace, *, batch: int = 50_000, observe: Callable[[Stage], None] = lambda _: None
) -> RolloutController:
    """A controller as after a restart."""
    storage = inside.storage
    moves = Moves(SqlEndpoints(storage.catalog), inside.models, inside.engine.routing.expect_change)
    facts = EventLog(storage.catalog, storage.clock, storage.ids)
    followed = storage.journal_folder, storage.journal_index, storage.objects
    return RolloutController(
        store=SqlRollouts(storage.catalog),
        moves=moves,
        acts=Acts(moves, facts, storage.audit),
        write=writing(storage.catalog, inside.dispatcher.on_behalf),
        predictions=Follower(PREDICTIONS, *followed),
        labels=Follower(LABELS, *followed),
        objects=storage.objects,
        clock=storage.clock,
        machine=storage.machine,
        batch=batch,
        observe=observe,
    )


def settle(inside: LocalWorkspace, fence: Callable[[Any], None] | None = None, **options: Any) -> None:
    """Steps of a new controller until nothing is left to read."""
    controller = controller_of(inside, **options)
    while controller.step(fence) == 0.0:
        pass


def kept_in(inside: LocalWorkspace, rollout_id: str) -> KeptRollout:
    """All that the catalog keeps of a rollout."""
    kept = SqlRollouts(inside.storage.catalog).find(rollout_id)
    assert kept is not None
    return kept
