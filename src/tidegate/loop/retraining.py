"""Training anew: the policy of each endpoint, what was decided by it, and whoever asks for it by hand."""

from typing import Final, Protocol

import blake3
import msgspec

from tidegate.endpoints.service import Endpoints
from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, to_micros
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Invalid, NotFound, Refused
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.names import check_name
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.loop.policy import Decision, RetrainingPolicy, answer, check_policy
from tidegate.loop.records import KeptPolicy, RetrainingDecision
from tidegate.loop.situation import Witness
from tidegate.pipelines.service import Pipelines

FIRED: Final = "tidegate.loop.retraining_fired"
SUPPRESSED: Final = "tidegate.loop.retraining_suppressed"


class RetrainingStore(Protocol):
    """Where policies and decisions are kept. Law: a decision, once added, is never changed."""

    def claim(self) -> None:
        """Wait for this transaction's turn."""
        ...

    def policy(self, endpoint: str) -> KeptPolicy | None:
        """The policy of an endpoint."""
        ...

    def active(self) -> list[KeptPolicy]:
        """Every policy that is in force, by endpoint."""
        ...

    def keep(self, kept: KeptPolicy) -> None:
        """Set the policy of an endpoint, new or known."""
        ...

    def add(self, decision: RetrainingDecision) -> None:
        """Add a decision."""
        ...

    def fired(self, endpoint: str) -> list[RetrainingDecision]:
        """The retrainings of an endpoint, newest first, as many as a budget may allow."""
        ...

    def page(self, endpoint: str, before: tuple[int, str] | None, limit: int) -> list[RetrainingDecision]:
        """Decisions of an endpoint, newest first, those older than this instant (in microseconds) and id."""
        ...


class Retraining(Service):
    """When a model is trained anew: drift proposes, measured performance confirms, a broken input blocks."""

    room = "retraining"
    uses = ("endpoints", "pipelines")
    _endpoints: Endpoints
    _pipelines: Pipelines

    def __init__(
        self, *, store: RetrainingStore, witness: Witness, clock: BusinessClock, ids: IdFactory, facts: Facts
    ) -> None:
        self._store = store
        self._witness = witness
        self._clock = clock
        self._ids = ids
        self._facts = facts

    @operation("PUT /retraining/{endpoint}/policy", role="maintainer", audit="change")
    def set_policy(self, endpoint: str, *, policy: RetrainingPolicy, active: bool = True) -> KeptPolicy:
        """Decide when the model behind an endpoint is trained anew, by which pipeline; its runs act in your name."""
        self._endpoints.get(check_name(endpoint, "endpoint"))
        check_policy(policy)
        self._pipelines.get(policy.pipeline)
        self._store.claim()
        kept = KeptPolicy(
            endpoint=endpoint,
            policy=policy,
            digest=blake3.blake3(msgspec.json.encode(policy, order="sorted")).hexdigest(),
            active=active,
            set_by=actor(),
            set_at=self._clock.now(),
        )
        self._store.keep(kept)
        self._facts.append("tidegate.loop.retraining_policy_set", endpoint, policy=kept.digest, active=active)
        return kept

    @operation("GET /retraining/{endpoint}/policy", role="viewer", audit="none")
    def policy(self, endpoint: str) -> KeptPolicy:
        """Show when the model behind an endpoint is trained anew."""
        kept = self._store.policy(check_name(endpoint, "endpoint"))
        if kept is None:
            raise NotFound(
                f"endpoint {endpoint} has no retraining policy; workspace.retraining.set_policy sets one",
                endpoint=endpoint,
            )
        return kept

    @operation("GET /retraining/{endpoint}/decisions", role="viewer", audit="none")
    def decisions(self, endpoint: str, *, limit: int = 100, cursor: str = "") -> Page[RetrainingDecision]:
        """List what was decided, newest first: every retraining, and once a reason each that was held back."""
        before = decode_cursor(cursor, (int, str))
        found = self._store.page(check_name(endpoint, "endpoint"), before, page_size(limit) + 1)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], encode_cursor(to_micros(last.at), last.id) if last else None)

    @operation("POST /retraining/{endpoint}/runs", role="maintainer", audit="change")
    def retrain(self, endpoint: str, *, reason: str) -> RetrainingDecision:
        """Train the model behind an endpoint anew now, by its policy's pipeline and in your own name.

        Cool-down, budget and missing labels do not hold it back; a broken input and a run under way do.
        """
        if not reason.strip():
            raise Invalid("say why the model is trained anew", field="reason")
        self._store.claim()
        kept = self.policy(endpoint)
        decision = answer(kept.policy, self._witness.testify(kept, self._store.fired(endpoint)))
        if not decision.fired:
            raise Refused(
                f"the model behind {endpoint} is not trained anew now: {decision.summary}",
                endpoint=endpoint,
                reason=decision.reason,
            )
        summary = f"{actor()} asked for it: {reason.strip()[:500]}"
        return self.record(kept, msgspec.structs.replace(decision, summary=summary))

    def record(self, kept: KeptPolicy, decision: Decision) -> RetrainingDecision:
        """Write a decision, and start the pipeline where it fired: inside a transaction, as the ambient actor."""
        now = self._clock.now()
        decision_id = self._ids.new(now)
        run = ""
        if decision.fired:
            params: dict[str, object] = {**kept.policy.params, "endpoint": kept.endpoint, "reason": decision.summary}
            run = self._pipelines.start(kept.policy.pipeline, params=params, key=decision_id).id
        made = RetrainingDecision(
            id=decision_id,
            endpoint=kept.endpoint,
            at=now,
            fired=decision.fired,
            proposal=decision.proposal,
            reason=decision.reason,
            summary=decision.summary,
            policy=kept.digest,
            run=run,
            by=actor(),
        )
        self._store.add(made)
        self._facts.append(
            FIRED if made.fired else SUPPRESSED,
            kept.endpoint,
            decision=made.id,
            proposal=made.proposal,
            reason=made.reason,
            summary=made.summary,
            run=run,
        )
        return made
