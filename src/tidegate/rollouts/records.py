"""What the room speaks of: rollouts, the steps that they took, and the evidence by which they were decided."""

from typing import Any, Literal

import msgspec

from tidegate.endpoints.records import Deployment, Strategy
from tidegate.kernel.clock import Instant
from tidegate.predictions.records import Mark

RolloutState = Literal["running", "promoted", "rolled_back", "inconclusive", "cancelled"]
"""Everything but `running` is final."""

Guard = Literal["errors", "quality", "not_worse", "too_many", "too_few"]
"""What is watched: answers that failed, answers that were wrong, whether the canary is shown not to be worse, and
whether it was given more, or fewer, rows than its share."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """How far one claim is shown. It is shown where the evidence has reached the threshold, and stays so."""

    guard: Guard
    test: str
    claim: str
    """What is shown once it is shown, with its margin."""
    alpha: float
    """The chance of showing it wrongly, however often one looks."""
    evidence: float
    """Natural logarithm of the highest e-value so far: it never falls."""
    threshold: float
    shown: bool
    rows: int
    """Rows that it rests on."""
    shown_at: int | None = None
    """The row that decided it."""
    mean_difference: float | None = None
    """Of the losses on the same rows, canary minus stable."""
    events: int | None = None
    """On split traffic: adverse events of both."""
    canary_rows: int | None = None
    canary_events: int | None = None


class StepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a rollout, and what was seen at it."""

    share: float
    """Percentage of the traffic."""
    since: Instant
    rows: int = 0
    """Rows that the canary scored at this share."""
    labels: int = 0
    """Rows that it scored whose labels became known meanwhile."""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """How a canary takes over its endpoint, or does not."""

    id: str
    """That of the canary's deployment."""
    endpoint: str
    version: str
    """The canary's version, such as `late-arrival/4`."""
    stable: str
    """The version that it is compared with."""
    strategy: Strategy
    paired: bool
    """Whether quality is judged on rows that both variants scored (the endpoint is outcome independent), or else on
    the split of the traffic."""
    state: RolloutState = "running"
    steps: tuple[StepTaken, ...]
    """Those taken, the newest last."""
    rows: int = 0
    """Rows that the canary scored."""
    labels: int = 0
    """Rows that it scored whose labels are known."""
    evidence: tuple[Evidence, ...] = ()
    reason: str
    """What decided it, or what it waits for."""
    started_at: Instant
    decided_at: Instant | None = None
    days: float | None = None
    """Days of business time from the start to the decision."""
    by: str
    """Who deployed the canary."""

    @property
    def share(self) -> float:
        """The canary's percentage of the traffic at the newest step."""
        return self.steps[-1].share


class KeptRollout(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout as the catalog keeps it: with all that the next step of the controller starts from."""

    rollout: Rollout
    canary: Deployment
    stable: Deployment
    tests: dict[str, dict[str, Any]]
    """The state of each test, by guard."""
    pending: str = ""
    """Digest of the object with the rows whose labels are awaited; empty where there are none."""


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """What a step of the controller starts from, as of one moment."""

    revision: int
    marks: dict[str, Mark]
    running: tuple[KeptRollout, ...]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a step of the controller found out; saved as a whole or not at all."""

    marks: dict[str, Mark] | None
    """None: they stay as they are."""
    rollouts: tuple[KeptRollout, ...] = ()
