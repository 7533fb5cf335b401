"""The controller that looks at every retraining policy, and starts a pipeline or writes down why not."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from tidegate.kernel.context import Call, Role
from tidegate.kernel.dispatch import AuditTrail, Journalled
from tidegate.kernel.errors import Forbidden
from tidegate.loop.policy import Decision, decide
from tidegate.loop.records import KeptPolicy, RetrainingDecision
from tidegate.loop.retraining import Retraining, RetrainingStore
from tidegate.loop.situation import Witness

Fence = Callable[[Any], None]
T = TypeVar("T")

PAUSE_SECONDS: Final = 5.0


class FencedTransactions(Protocol):
    """Transactions that an old leader's write is refused by."""

    def write(self, work: Callable[[], T], *, fence: Fence | None = None) -> T:
        """The function's result, once it is committed."""
        ...


class Authority(Protocol):
    """Of the dispatcher: acts in somebody's name, and says whether that is permitted."""

    def on_behalf(self, call: Call, work: Callable[[], T]) -> T:
        """Run the work as that call."""
        ...

    def require(self, call: Call, role: Role, act: str) -> None:
        """Raises `Forbidden` unless the actor has the role."""
        ...


class Watch(Protocol):
    """Of monitors: how far the endpoints have been looked at."""

    def behind(self, endpoint: str) -> bool:
        """Whether there is something to be seen that was not looked at yet."""
        ...


class Retrainer:
    """Keeps to the policies. One is enough for a home.

    Laws:

    1. **Once.** A decision, its run, its fact and its row in the audit are one transaction, under the fence of the
       lease: killed anywhere, nothing is started twice, and an old leader starts nothing.
    2. **Suppressions count.** What is held back is written down too, once for each time that the reason changes.
    3. **In one's name.** A run acts as the person who set the policy, for as long as that person may start it.
    4. **Nothing unseen.** Nothing is decided while monitors are behind: what they have not judged yet may be broken.
    """

    def __init__(
        self,
        *,
        store: RetrainingStore,
        transactions: FencedTransactions,
        authority: Authority,
        audit: AuditTrail,
        witness: Witness,
        watch: Watch,
        retraining: Retraining,
    ) -> None:
        self._store = store
        self._transactions = transactions
        self._authority = authority
        self._audit = audit
        self._witness = witness
        self._watch = watch
        self._retraining = retraining

    def step(self, fence: Fence | None = None) -> float:
        """Look at every policy once; 0 when something was started, so that it is worked on now."""
        fired = False
        for kept in self._store.active():
            call = Call(actor=kept.set_by)
            look = functools.partial(self._decide, kept, call)
            if self._authority.on_behalf(call, look) is None or self._watch.behind(kept.endpoint):
                continue
            act = functools.partial(self._authority.on_behalf, call, functools.partial(self._act, kept, call))
            made = self._transactions.write(act, fence=fence)
            fired = fired or (made is not None and made.fired)
        return 0.0 if fired else PAUSE_SECONDS

    def _act(self, kept: KeptPolicy, call: Call) -> RetrainingDecision | None:
        self._store.claim()
        if self._store.policy(kept.endpoint) != kept:
            return None  # somebody has just changed it: the next step looks at the new one
        decision = self._decide(kept, call)
        if decision is None:
            return None
        made = self._retraining.record(kept, decision)
        if made.fired:
            self._audit.append(_row(made, call))
        return made

    def _decide(self, kept: KeptPolicy, call: Call) -> Decision | None:
        """What is to be written; None where there is nothing to say, or nothing new."""
        situation = self._witness.testify(kept, self._store.fired(kept.endpoint))
        situation = msgspec.structs.replace(situation, forbidden=self._forbidden(kept, call))
        decision = decide(kept.policy, situation)
        return None if decision is None or self._said(kept, decision) else decision

    def _forbidden(self, kept: KeptPolicy, call: Call) -> str:
        try:
            self._authority.require(call, "maintainer", f"start pipeline {kept.policy.pipeline}")
        except Forbidden as error:
            return f"the policy was set by somebody who may no longer start its pipeline: {error.message}"
        return ""

    def _said(self, kept: KeptPolicy, decision: Decision) -> bool:
        """Whether this suppression was the last thing that was decided."""
        last = next(iter(self._store.page(kept.endpoint, None, 1)), None)
        if decision.fired or last is None:
            return False
        return (decision.proposal, decision.reason, kept.digest) == (last.proposal, last.reason, last.policy)


def _row(made: RetrainingDecision, call: Call) -> Journalled:
    return Journalled(
        actor=made.by,
        operation="retraining.fired",
        subject=made.endpoint,
        outcome="ok",
        request_id=call.request_id,
        request_digest=hashlib.sha256(msgspec.json.encode(made)).hexdigest(),
        detail=made.summary,
    )
