"""Purges by the policy, a few runs at a time."""

import hashlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from tidegate.kernel.context import Call, current
from tidegate.kernel.dispatch import AuditTrail, Journalled
from tidegate.runs.purging import Purged, Purger

ACTOR: Final = "controller:purging"
"""Who purges by the policy. No person has such a name."""

REST_SECONDS = 60.0
_RUNS_AT_ONCE = 3  # about 6 ms each


class Transactions(Protocol):
    """Runs a function inside one write transaction."""

    def write(self, run: Callable[[], Any], *, fence: Callable[[Any], None] | None = None) -> Any:
        """Commit what the function writes, unless the fence refuses."""
        ...


class PurgeController:
    """One step purges a few runs, or forgets what is left of a large one; what it removed is a row of the audit."""

    def __init__(self, purger: Purger, transactions: Transactions, audit: AuditTrail) -> None:
        self._purger = purger
        self._transactions = transactions
        self._audit = audit

    def step(self, fence: Callable[[Any], None] | None = None) -> float | None:
        """0 when there may be more. Raises `Conflict` when ``fence`` refuses; nothing is written then."""
        if not self._purger.anything():
            return REST_SECONDS
        token = current.set(Call(actor=ACTOR))
        try:
            self._transactions.write(self._work, fence=fence)
        finally:
            current.reset(token)
        return 0.0

    def _work(self) -> None:
        if self._purger.finish():
            return
        purged = self._purger.purge(self._purger.before(), _RUNS_AT_ONCE)
        if purged.runs or purged.experiments:
            self._journal(purged)

    def _journal(self, purged: Purged) -> None:
        told = msgspec.json.encode(purged)
        self._audit.append(
            Journalled(
                actor=ACTOR,
                operation="runs.purge",
                subject=f"{len(purged.runs)} runs, {len(purged.experiments)} experiments",
                outcome="ok",
                request_id=(current.get() or Call(actor=ACTOR)).request_id,
                request_digest=hashlib.sha256(told).hexdigest(),
                detail=f"runs {' '.join(purged.runs)}; experiments {' '.join(purged.experiments)}"[:4096],
            )
        )
