"""When a model is trained anew, as pure functions: drift proposes, performance confirms, a broken input blocks.

A decision *not* to train is a decision too: it is recorded with its reason, each time that the reason changes.
"""

from datetime import timedelta
from typing import Final, Literal

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.kernel.errors import Invalid
from tidegate.kernel.names import check_name
from tidegate.pipelines import rules as pipeline_rules

Proposal = Literal["asked", "drift", "schedule"]
"""What proposed a retraining: a person, drift of inputs or of quality, or the calendar."""

Reason = Literal[
    "confirmed",
    "due",
    "asked",
    "broken_input",
    "under_way",
    "performance_holds",
    "cooling_down",
    "over_budget",
    "few_labels",
    "not_permitted",
]
"""Why it was fired (the first three) or suppressed."""

SHOWN: Final = 5
"""So many columns are named in a sentence."""

LARGEST_BUDGET: Final = 1_000

OWN_PARAMS: Final = ("endpoint", "reason")
"""Parameters that every run is given beside those of the policy."""

LARGEST_PARAMS: Final = 32_768
"""Bytes of JSON."""

_LONGEST_DAYS: Final = 3660.0


class RetrainingPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the model behind an endpoint is trained anew, by which pipeline.

    Days are of business time. ``schedule_days``: a retraining is due so long after the last one; None for never.
    ``drift``: whether open episodes propose one; it is fired only where measured performance does not hold, unless
    ``confirm`` is False. ``cool_down_days``: never sooner than that after the last one. ``budget``: at most so many in
    ``budget_days``. ``minimum_labels``: so many labelled rows must have come since the last one, counting only windows
    that ended ``maturity_days`` ago or longer, whose labels are all due. ``params`` go to the pipeline, beside
    `endpoint` and `reason`.
    """

    pipeline: str
    params: dict[str, str | int | float | bool] = {}
    schedule_days: float | None = None
    drift: bool = True
    confirm: bool = True
    cool_down_days: float = 14.0
    budget: int = 4
    budget_days: float = 90.0
    minimum_labels: int = 1_000
    maturity_days: float = 1.0


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an endpoint when its policy is looked at."""

    now: Instant
    deployed_at: Instant
    """When the endpoint's model went live first: the calendar counts from here until something was fired."""
    fired_at: tuple[Instant, ...] = ()
    """When retrainings were fired, newest first."""
    drifted: tuple[str, ...] = ()
    """Columns with an open episode."""
    lost: tuple[str, ...] = ()
    """Measures of performance with an open episode."""
    broken: tuple[str, ...] = ()
    """Columns whose input is broken, by the diagnosis."""
    under_way: str = ""
    """What is under way already: a run of the pipeline, or a canary; empty when nothing is."""
    labels: int = 0
    """Mature labelled rows since the last retraining."""
    forbidden: str = ""
    """Why whoever set the policy may not start its pipeline; empty where that is permitted."""


class Decision(msgspec.Struct, frozen=True):
    """Whether to train anew, what proposed it, and why it was decided so."""

    fired: bool
    proposal: Proposal
    reason: Reason
    summary: str


def check_policy(policy: RetrainingPolicy) -> None:
    """Raise `Invalid` naming the field that makes no sense."""
    check_name(policy.pipeline, "policy.pipeline")
    for name in ("schedule_days", "cool_down_days", "budget_days", "maturity_days"):
        days = getattr(policy, name)
        if days is not None and not 0 <= days <= _LONGEST_DAYS:  # NaN is refused, too
            raise Invalid(f"{name} must be from 0 to {_LONGEST_DAYS:,.0f} days", field=f"policy.{name}")
    if policy.schedule_days is not None and policy.schedule_days < 1:
        raise Invalid("schedule_days must be 1 or more; leave it out for no schedule", field="policy.schedule_days")
    if not 1 <= policy.budget <= LARGEST_BUDGET:
        raise Invalid(f"budget must be from 1 to {LARGEST_BUDGET:,} retrainings", field="policy.budget")
    if policy.minimum_labels < 1:
        raise Invalid("minimum_labels must be 1 or more", field="policy.minimum_labels")
    _check_params(policy.params)


def _check_params(params: dict[str, str | int | float | bool]) -> None:
    """What would fail the start of every run is refused with the policy."""
    for name in OWN_PARAMS:
        if name in params:
            raise Invalid(f"every run gets a {name!r} of its own: call the parameter otherwise", field="policy.params")
    kept = pipeline_rules.check_json(params, "params", "policy.params")
    size = len(msgspec.json.encode(kept))
    if size > LARGEST_PARAMS:
        raise Invalid(f"params take {size:,} bytes of JSON, at most {LARGEST_PARAMS:,}", field="policy.params")


def decide(policy: RetrainingPolicy, situation: Situation) -> Decision | None:
    """The decision, or None while nothing proposes a retraining, or the last one is not over."""
    proposal = _proposal(policy, situation)
    if proposal is None or (situation.under_way and not situation.broken):
        return None
    return _decide(policy, situation, proposal)


def answer(policy: RetrainingPolicy, situation: Situation) -> Decision:
    """The decision for a person who asks, and is refused nothing but a broken input and a second run."""
    return _decide(policy, situation, "asked")


def _decide(policy: RetrainingPolicy, situation: Situation, proposal: Proposal) -> Decision:
    blocked = _block(policy, situation, proposal)
    if blocked is not None:
        return Decision(False, proposal, *blocked)
    return Decision(True, proposal, *_grounds(situation, proposal))


def _proposal(policy: RetrainingPolicy, situation: Situation) -> Proposal | None:
    if policy.drift and (situation.lost or situation.drifted or situation.broken):
        # The calendar has the word where performance holds: drift alone would only be suppressed once more.
        if _due(policy, situation) and not situation.lost and not situation.broken:
            return "schedule"
        return "drift"
    return "schedule" if _due(policy, situation) else None


def _due(policy: RetrainingPolicy, situation: Situation) -> bool:
    last = max((situation.deployed_at, *situation.fired_at))
    return policy.schedule_days is not None and situation.now - last >= timedelta(days=policy.schedule_days)


def _block(policy: RetrainingPolicy, situation: Situation, proposal: Proposal) -> tuple[Reason, str] | None:
    if situation.broken:
        return "broken_input", f"{_named(situation.broken)} is broken: mend its source first, a model must not learn it"
    if situation.under_way:
        return "under_way", f"{situation.under_way} is under way"
    if proposal == "asked":
        return None
    if proposal == "drift" and policy.confirm and not situation.lost:
        return "performance_holds", f"{_named(situation.drifted)} drifted and performance holds: that is information"
    return _hold_back(policy, situation)


def _hold_back(policy: RetrainingPolicy, situation: Situation) -> tuple[Reason, str] | None:
    now, last = situation.now, max(situation.fired_at, default=None)
    if last is not None and now - last < timedelta(days=policy.cool_down_days):
        until = last + timedelta(days=policy.cool_down_days)
        return "cooling_down", f"the last retraining was on {last:%d %B}; the next may be from {until:%d %B} on"
    recent = sum(now - fired < timedelta(days=policy.budget_days) for fired in situation.fired_at)
    if recent >= policy.budget:
        return "over_budget", f"{recent} retrainings in {policy.budget_days:g} days are all that the policy allows"
    if situation.labels < policy.minimum_labels:
        return "few_labels", f"fewer than {policy.minimum_labels:,} labelled rows have matured since the last one"
    return ("not_permitted", situation.forbidden) if situation.forbidden else None


def _grounds(situation: Situation, proposal: Proposal) -> tuple[Reason, str]:
    if proposal == "asked":
        return "asked", "a person asked for it"
    if proposal == "schedule":
        return "due", "it is due by the calendar"
    return "confirmed", f"{_named(situation.lost or situation.drifted)} drifted, and measured performance confirms it"


def _named(columns: tuple[str, ...]) -> str:
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return ", ".join(column[:64] for column in columns[:SHOWN]) + more
