"""Deletes the objects that nothing refers to any more."""

import hashlib
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Final

from tidegate.kernel.clock import MachineClock
from tidegate.kernel.context import Call
from tidegate.kernel.dispatch import AuditTrail, Journalled
from tidegate.kernel.objects import ObjectStore
from tidegate.storage.catalog import Catalog
from tidegate.storage.released import Released

ACTOR: Final = "controller:sweeping"
"""Who sweeps. No person has such a name."""

REST_SECONDS = 60.0
"""So often is looked for released objects where there are none."""

PIECE_SECONDS = 0.02
"""How long one transaction goes on deleting: whoever else writes waits for it."""

_LOOK = 500
_PIECE = 20


class Sweeper:
    """A controller: one step deletes some released objects, or finds out that something holds them.

    Laws:

    1. **Released.** Only what was released is swept: what nobody ever referred to is none of its business.
    2. **Held.** What a version, a dataset, a run, a segment of the log or any other row refers to is kept.
    3. **Grace.** What was put less than the grace period ago is kept: whoever put it may be about to refer to it.
    4. **Claimed.** Whoever refers to an old object in the very moment of the sweep has it, or is told that it is gone.
    5. **Killed.** Whatever a death cuts off is done by the next step; an object that is gone stays gone.
    6. **Audited.** What was swept is in the audit, with its digests.

    Left open on purpose: bytes that were released long ago and are put anew in the instant between the look at their
    age and their deletion are deleted; who put them is refused when it refers to them, and puts them again.
    """

    def __init__(
        self,
        catalog: Catalog,
        objects: ObjectStore,
        audit: AuditTrail,
        machine: MachineClock,
        grace_seconds: float,
    ) -> None:
        self._catalog = catalog
        self._released = Released(catalog, machine)
        self._objects = objects
        self._audit = audit
        self._machine = machine
        self._grace = grace_seconds

    def step(self, fence: Callable[[Any], None] | None = None) -> float | None:
        """Look at some objects; 0 when there may be more. Raises `Conflict` when ``fence`` refuses."""
        due = self._released.due(_LOOK)
        if not due:
            return REST_SECONDS
        held = self._released.held(due)
        self._write(held, lambda digest: self._keep(digest, due[digest]), fence)
        self._write(due.keys() - held, lambda digest: self._sweep(digest, due[digest]), fence)
        return 0.0

    def _write(
        self, digests: Collection[str], look: Callable[[str], str | None], fence: Callable[[Any], None] | None
    ) -> None:
        """Look at each, in transactions that are short; what a look returns was swept."""
        left = deque(sorted(digests))

        def work() -> int:
            self._catalog.serialise()
            until = self._machine.monotonic() + PIECE_SECONDS
            swept: list[str] = []
            looked = 0
            for digest in left:
                looked += 1
                if look(digest) is not None:
                    swept.append(digest)
                if len(swept) == _PIECE or self._machine.monotonic() >= until:
                    break
            if swept:
                self._journal(swept)
            return looked

        while left:
            for _ in range(self._catalog.write(work, fence=fence)):
                left.popleft()

    def _keep(self, digest: str, due: int) -> None:
        """Note that something holds an object: whoever lets go of it releases it anew."""
        self._released.take(digest, due)

    def _sweep(self, digest: str, due: int) -> str | None:
        """Delete an object that is still released, if it is old. One that is gone was swept before a death."""
        if not self._released.take(digest, due):
            return None
        if self._old(digest):
            self._objects.delete(digest)
        elif self._objects.exists(digest):
            self._released.put_off([digest], self._grace)
            return None
        return digest

    def _old(self, digest: str) -> bool:
        return digest in list(self._objects.list(digest, untouched_for=self._grace))

    def _journal(self, swept: list[str]) -> None:
        names = " ".join(swept)
        self._audit.append(
            Journalled(
                actor=ACTOR,
                operation="objects.sweep",
                subject=f"{len(swept)} objects",
                outcome="ok",
                request_id=Call(actor=ACTOR).request_id,
                request_digest=hashlib.sha256(names.encode()).hexdigest(),
                detail=f"nothing refers to them any more: {names}",
            )
        )
