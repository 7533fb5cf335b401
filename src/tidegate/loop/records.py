"""What crosses rooms: the walk from a prediction to its origins, and the state of the whole."""

from typing import Literal

import msgspec

from tidegate.incidents.records import Incident
from tidegate.kernel.clock import Instant
from tidegate.kernel.errors import WireError
from tidegate.kernel.real import Real
from tidegate.loop.policy import Proposal, Reason, RetrainingPolicy
from tidegate.monitors.drift_records import Episode
from tidegate.rollouts.records import RolloutState

Health = Literal["good", "attention", "waiting"]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A quality figure of one window, with its interval at 95 %."""

    metric: str
    value: Real
    low: Real | None = None
    high: Real | None = None
    labels: int
    start: Instant
    end: Instant


class RetrainingDecision(msgspec.Struct, frozen=True, kw_only=True):
    """That a model was trained anew, or that it was not, and why. A suppression is written once a reason."""

    id: str
    endpoint: str
    at: Instant
    fired: bool
    proposal: Proposal
    reason: Reason
    summary: str
    policy: str
    """The digest of the policy by which it was decided."""
    run: str = ""
    """The id of the pipeline's run that was started."""
    by: str


class CanaryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A canary on its way: ``share`` is its percentage of the traffic, 0 until its rollout has begun.

    ``rows`` are those that it scored, ``labels`` those of them whose labels are known.
    """

    version: str
    share: float
    steps: tuple[float, ...]
    rows: int = 0
    labels: int = 0
    waits_for: str
    since: Instant
    by: str


class RolloutOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a rollout was decided, and why. ``days`` are of business time, from its start."""

    rollout: str
    version: str
    state: RolloutState
    rows: int
    days: float | None
    reason: str
    decided_at: Instant | None


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint: what is live, how much it answers, how fast and how well.

    ``health`` is `attention` when something ought to be looked at (``incidents`` and ``reason`` say what), `waiting`
    while there is nothing to judge by. Latencies are milliseconds, of the newest window. ``volume`` is the predictions
    of each window, ``windows`` when each began, oldest first, and ``window_seconds`` how long the newest one is.
    ``incidents`` are those that nobody has resolved, ``episodes`` the newest hundred that are open, both newest first.
    """

    endpoint: str
    model: str
    variant: str
    deployed_at: Instant
    deployed_by: str
    predictions: int
    labels: int
    latency_p50_ms: Real | None = None
    latency_p95_ms: Real | None = None
    quality: Measure | None = None
    history: tuple[Measure, ...] = ()
    volume: tuple[int, ...] = ()
    windows: tuple[Instant, ...] = ()
    window_seconds: int = 0
    unknown_categories: int = 0
    missing_features: int = 0
    health: Health
    reason: str = ""
    incidents: tuple[Incident, ...] = ()
    canary: CanaryStatus | None = None
    shadows: tuple[str, ...] = ()
    """The versions that only look on."""
    last_rollout: RolloutOutcome | None = None
    """The newest that is decided."""
    episodes: tuple[Episode, ...] = ()
    retraining: RetrainingDecision | None = None
    """The last decision to train anew, or not to."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Every endpoint, those that need attention first."""

    now: Instant
    simulated_clock: bool
    endpoints: tuple[EndpointStatus, ...]
    incidents: tuple[Incident, ...] = ()
    """Those that nobody has resolved, and that are of no live endpoint, such as a pipeline's."""


class PredictionStep(msgspec.Struct, frozen=True, kw_only=True):
    """The prediction itself."""

    id: str
    at: Instant
    inputs: dict[str, object]
    value: object
    probabilities: dict[str, Real] | None
    labels: tuple[object, ...]


class DeploymentStep(msgspec.Struct, frozen=True, kw_only=True):
    """The deployment that answered."""

    endpoint: str
    deployment: str
    variant: str
    deployed_at: Instant
    deployed_by: str


class ModelStep(msgspec.Struct, frozen=True, kw_only=True):
    """The version of the model that answered."""

    model: str
    digest: str
    runtime: str
    created_at: Instant
    created_by: str


class RunStep(msgspec.Struct, frozen=True, kw_only=True):
    """The run that produced it, with its code and environment."""

    id: str
    experiment: str
    started_at: Instant
    actor: str
    params: dict[str, object]
    commit: str | None
    dirty: bool
    diff_digest: str | None
    python: str | None
    packages_digest: str | None


class DatasetStep(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version that went into the model or its run."""

    dataset: str
    digest: str
    role: str


class VerdictStep(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that the version passed, or a person who approved it."""

    kind: str
    verdict: str
    by: str
    at: Instant
    summary: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Everything behind one prediction, back to the bytes that trained the model."""

    prediction: PredictionStep
    deployment: DeploymentStep
    model: ModelStep
    run: RunStep | None
    datasets: tuple[DatasetStep, ...]
    gates: tuple[VerdictStep, ...]
    approvals: tuple[VerdictStep, ...]


class Ticked(msgspec.Struct, frozen=True, kw_only=True):
    """Business time now, and how many steps the controllers made until nothing was due."""

    now: Instant
    steps: int


class TickAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a tick that another process was asked for."""

    steps: int = 0
    error: WireError | None = None


class KeptPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The retraining policy of an endpoint as it is in force, or paused. Runs act in the name of ``set_by``."""

    endpoint: str
    policy: RetrainingPolicy
    digest: str
    active: bool = True
    set_by: str
    set_at: Instant
