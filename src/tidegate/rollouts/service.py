"""The operations of rollouts."""

from typing import Protocol

import msgspec

from tidegate.kernel.clock import BusinessClock, to_micros
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, NotFound
from tidegate.kernel.names import check_name
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.rollouts import rules
from tidegate.rollouts.acts import Acts
from tidegate.rollouts.records import Changes, KeptRollout, Rollout


class RolloutStore(Protocol):
    """What the operations ask of the catalog."""

    def claim(self, rollout_id: str) -> tuple[KeptRollout, int] | None:
        """A rollout and the revision of all, which nobody else changes until the ambient transaction ends."""
        ...

    def find(self, rollout_id: str) -> KeptRollout | None:
        """The rollout of this id."""
        ...

    def page(self, endpoint: str | None, before: tuple[int, str] | None, limit: int) -> list[KeptRollout]:
        """Rollouts, newest first, of one endpoint or all, from the one after the key `before`."""
        ...

    def save(self, changes: Changes, revision: int) -> None:
        """Write changes inside the ambient transaction."""
        ...


class Rollouts(Service):
    """How canaries took over, or did not, and the evidence."""

    room = "rollouts"
    uses = ()

    def __init__(self, *, store: RolloutStore, acts: Acts, clock: BusinessClock) -> None:
        self._store = store
        self._acts = acts
        self._clock = clock

    @operation("GET /rollouts/{rollout_id}", role="viewer", audit="none")
    def get(self, rollout_id: str) -> Rollout:
        """One rollout: its steps, its evidence, and what decided it or what it waits for."""
        kept = self._store.find(rollout_id)
        if kept is None:
            raise _unknown(rollout_id)
        return kept.rollout

    @operation("POST /rollouts/{rollout_id}/cancellation", role="maintainer", audit="change")
    def cancel(self, rollout_id: str, *, reason: str = "") -> Rollout:
        """Stop a rollout and take its canary's traffic back at once; stable answers on.

        Raises `Conflict` when it is decided already.
        """
        claimed = self._store.claim(rollout_id)
        if claimed is None:
            raise _unknown(rollout_id)
        kept, revision = claimed
        if kept.rollout.state != "running":
            raise Conflict(
                f"rollout {rollout_id} was decided already: {kept.rollout.state.replace('_', ' ')}, "
                f"{kept.rollout.reason}",
                rollout=rollout_id,
            )
        why = f"cancelled by {actor()}{f': {reason.strip()}' if reason.strip() else ''}"
        ended = rules.decided(kept.rollout, "cancelled", why, self._clock.now())
        after = msgspec.structs.replace(kept, rollout=ended, pending="")
        self._store.save(Changes(marks=None, rollouts=(after,)), revision)
        self._acts.carry_out(kept.rollout, after)
        return ended

    @operation("GET /rollouts", role="viewer", audit="none")
    def list(self, *, endpoint: str | None = None, limit: int = 100, cursor: str = "") -> Page[Rollout]:
        """Rollouts, newest first; `endpoint`: only those of one."""
        name = None if endpoint is None else check_name(endpoint, "endpoint")
        found = self._store.page(name, decode_cursor(cursor, (int, str)), page_size(limit) + 1)
        shown = [kept.rollout for kept in found[:limit]]
        more = len(found) > limit
        return Page(shown, encode_cursor(to_micros(shown[-1].started_at), shown[-1].id) if more else None)


def _unknown(rollout_id: str) -> NotFound:
    return NotFound(
        f"there is no rollout {rollout_id[:64]!r}; 'tidegate rollouts list' shows those that there are",
        rollout=rollout_id[:64],
    )
