"""What a decision does: it moves the canary, notes the fact, and leaves a row in the audit, in one transaction."""

import hashlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from tidegate.endpoints.moves import Moves
from tidegate.endpoints.records import DeploymentState
from tidegate.events.records import Facts
from tidegate.kernel.context import Call, actor, current
from tidegate.kernel.dispatch import AuditTrail, Journalled
from tidegate.rollouts.records import KeptRollout, Rollout

ACTOR: Final = "controller:rollouts"
"""Who acts where nobody asked. No person has such a name."""

_ENDS: Final[dict[str, DeploymentState]] = {
    "rolled_back": "rolled_back",
    "inconclusive": "inconclusive",
    "cancelled": "withdrawn",
}


class Transactions(Protocol):
    """Runs a function inside one write transaction."""

    def write(self, run: Callable[[], None], *, fence: Callable[[Any], None] | None = None) -> None:
        """Commit what the function writes, unless the fence refuses."""
        ...


class OnBehalf(Protocol):
    """`Dispatcher.on_behalf`."""

    def __call__(self, call: Call, work: Callable[[], None]) -> None:
        """Run the work as that call."""
        ...


def writing(
    transactions: Transactions, on_behalf: OnBehalf
) -> Callable[[Callable[[], None], Callable[[Any], None] | None], None]:
    """How the controller writes: in one transaction, under the fence of its lease, as `ACTOR`."""

    def write(work: Callable[[], None], fence: Callable[[Any], None] | None) -> None:
        transactions.write(lambda: on_behalf(Call(actor=ACTOR), work), fence=fence)

    return write


class Acts:
    """Carries out what was decided, inside the ambient transaction."""

    def __init__(self, moves: Moves, facts: Facts, audit: AuditTrail) -> None:
        self._moves = moves
        self._facts = facts
        self._audit = audit

    def begin(self, kept: KeptRollout) -> None:
        """Give the canary its first share."""
        self._moves.give(kept.canary, kept.rollout.share)
        self._tell("started", kept.rollout)
        self._journal("started", kept.rollout)

    def carry_out(self, before: Rollout, after: KeptRollout, *, gone: bool = False) -> None:
        """Do what leads from one state of a rollout to the next. `gone`: its canary was taken back already."""
        rollout = after.rollout
        if rollout.state == "running":
            if len(rollout.steps) == len(before.steps):
                return
            self._moves.give(after.canary, rollout.share)
            what = "advanced"
        else:
            what = rollout.state
            if what == "promoted":
                self._moves.promote(after.canary)
            elif not gone:
                self._moves.end(after.canary, _ENDS[what])
        self._tell(what, rollout)
        self._journal(what, rollout)

    def _tell(self, what: str, rollout: Rollout) -> None:
        self._facts.append(
            f"tidegate.rollouts.{what}",
            rollout.endpoint,
            rollout=rollout.id,
            version=rollout.version,
            stable=rollout.stable,
            share=rollout.share,
            rows=rollout.rows,
            labels=rollout.labels,
            reason=rollout.reason,
            evidence={one.guard: [round(one.evidence, 3), round(one.threshold, 3)] for one in rollout.evidence},
        )

    def _journal(self, what: str, rollout: Rollout) -> None:
        """A row of the audit, where no operation that somebody called writes one."""
        if actor() != ACTOR:
            return
        call = current.get() or Call(actor=ACTOR)
        self._audit.append(
            Journalled(
                actor=ACTOR,
                operation=f"rollouts.{what}",
                subject=rollout.endpoint,
                outcome="ok",
                request_id=call.request_id,
                request_digest=hashlib.sha256(msgspec.json.encode(rollout)).hexdigest(),
                detail=f"{rollout.version} at {rollout.share:g} %: {rollout.reason}"[:4096],
            )
        )
