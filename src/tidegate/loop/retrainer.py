"""The controller that looks at every retraining policy, and starts a pipeline or writes down why not."""

import functools
from collections.abc import Callable
from typing import Any, Final, Protocol

from tidegate.kernel.context import Call, current
from tidegate.kernel.dispatch import Transactions
from tidegate.loop.policy import Decision, decide
from tidegate.loop.records import KeptPolicy, RetrainingDecision
from tidegate.loop.retraining import Retraining, RetrainingStore
from tidegate.loop.situation import REMEMBERED, Witness

Fence = Callable[[Any], None]

PAUSE_SECONDS: Final = 5.0


class FencedTransactions(Transactions, Protocol):
    """Transactions that an old leader's write is refused by."""

    def write(self, work: Callable[[], Any], *, durable: bool = True, fence: Fence | None = None) -> Any:
        """The function's result, once it is committed."""
        ...


class Retrainer:
    """Keeps to the policies. One is enough for a home.

    Laws:

    1. **Once.** A decision, its run and its fact are one transaction: killed anywhere, nothing is started twice.
    2. **Suppressions count.** What is held back is written down too, once for each time that the reason changes.
    3. **In one's name.** A run acts as the person who set the policy.
    """

    def __init__(
        self, *, store: RetrainingStore, transactions: FencedTransactions, witness: Witness, retraining: Retraining
    ) -> None:
        self._store = store
        self._transactions = transactions
        self._witness = witness
        self._retraining = retraining

    def step(self, fence: Fence | None = None) -> float:
        """Look at every policy once; 0 when something was started, so that it is worked on now."""
        fired = False
        for kept in self._store.active():
            token = current.set(Call(actor=kept.set_by))
            try:
                # Most looks decide nothing: only what is to be written is decided once more, in its transaction.
                if self._decision(kept) is not None:
                    made = self._transactions.write(functools.partial(self._judge, kept), fence=fence)
                    fired = fired or (made is not None and made.fired)
            finally:
                current.reset(token)
        return 0.0 if fired else PAUSE_SECONDS

    def _judge(self, kept: KeptPolicy) -> RetrainingDecision | None:
        self._store.claim()
        decision = self._decision(kept)
        return None if decision is None else self._retraining.record(kept, decision)

    def _decision(self, kept: KeptPolicy) -> Decision | None:
        """What is to be written down now, if anything."""
        earlier = self._store.newest(kept.endpoint, fired=True, limit=REMEMBERED)
        decision = decide(kept.policy, self._witness.testify(kept, earlier))
        if decision is None or decision.fired:
            return decision
        last = next(iter(self._store.newest(kept.endpoint, fired=False)), None)
        return None if last is not None and _same(decision, last) else decision


def _same(decision: Decision, last: RetrainingDecision) -> bool:
    return (decision.proposal, decision.reason) == (last.proposal, last.reason)
