"""What the demo found: everything that `tidegate demo --json` prints."""

from typing import Any

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.kernel.real import Real


class DemoVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the model, and what it went through."""

    version: str
    digest: str
    training_digest: str
    """Names the very rows that it learnt from."""
    runtime: str
    verdicts: tuple[str, ...]
    """Of gates, and overrides, the newest first."""
    approver: str
    stages: tuple[tuple[str, Instant], ...]
    """The stages that it reached, and when."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the traffic that a canary was given."""

    share: float
    since: Instant
    rows: int
    labels: int


class DemoRollout(msgspec.Struct, frozen=True, kw_only=True):
    """How a canary went."""

    version: str
    against: str
    outcome: str
    reason: str
    margin: float
    """How much worse its mean Brier loss may be and still count as not worse."""
    alpha: float
    steps: tuple[Step, ...]
    evidence: dict[str, str]
    """By guard: what was claimed, and how far it was shown."""
    rows: int
    days: Real | None
    started_at: Instant
    decided_at: Instant | None


class DemoEpisode(msgspec.Struct, frozen=True, kw_only=True):
    """Something that changed."""

    kind: str
    column: str
    opened: Instant
    closed: Instant | None
    severity: str
    diagnosis: str
    summary: str


class DemoIncident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody ought to look at."""

    title: str
    state: str
    opened_at: Instant
    resolved_at: Instant | None
    automatic: bool
    what_to_do: str


class DemoRetraining(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining, or one that was held back."""

    at: Instant
    fired: bool
    proposal: str
    reason: str
    summary: str


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """What stamping a delay at its own departure does, as AUC on flights that left after both models were trained."""

    rows: int
    rows_changed: float
    """Share of the rows of which some feature changes."""
    promised: float
    """Trained and judged on the leaky features: what a notebook would have said."""
    served: float
    """The same model on what can be known when it is asked."""
    correct: float
    """The first version, which was trained on what could be known."""


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """What was refused, in the words of the refusal."""

    damaged_copy: str
    early_promotion: str
    author_approval: str
    leaky_gate: str
    broken_feed: str


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """What was killed, and the seconds until the next request was acknowledged."""

    killed: str
    at: Instant
    acknowledged_before: int
    canary: str
    """The canary that was under way, and its share; empty where there was none."""
    seconds: float


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What the client was told, held against what the home kept."""

    acknowledged: int
    lost: int
    """Acknowledged predictions and labels that are missing or changed."""
    doubled: int
    """Acknowledged predictions that are there more than once."""
    unacknowledged: int
    """Predictions in the log whose answer was cut off; the client asked again and got other ids."""
    labels_joined: int
    """Acknowledged labels that stand beside their prediction."""


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happened."""

    held: bool
    """Whether nothing was lost or doubled, everything that must be refused was, and the bad candidate was stopped."""
    home: str
    url: str
    pid: int
    """The server's process; 0 once it is stopped."""
    since: Instant
    until: Instant
    requests: int
    rows: int
    acknowledged: int
    lost: int
    doubled: int
    unacknowledged: int
    retried: int
    labels_joined: int
    models: tuple[DemoVersion, ...]
    rollouts: tuple[DemoRollout, ...]
    episodes: tuple[DemoEpisode, ...]
    incidents: tuple[DemoIncident, ...]
    retrainings: tuple[DemoRetraining, ...]
    auc_by_month: dict[str, dict[str, Real]]
    """`static`, the first model all along, and `retrained`, what was answered; each by month, as in `2013-05`."""
    leak: Leak | None
    """None where the demo ended before anybody let a leaky model out."""
    refusals: Refusals
    restarts: tuple[Restart, ...]
    days_to_production: Real | None
    """From the verdict of the gate to all of the traffic, the median over promoted versions but the first."""
    why: dict[str, Any]
    seconds: float
