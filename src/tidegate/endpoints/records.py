"""What the room speaks of: endpoints, the deployments behind them, and what a prediction and a label look like."""

from typing import Literal

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.models.signature import Label, Task

Variant = Literal["stable", "canary", "shadow"]
"""Which of an endpoint's deployments answered: the one that is trusted, the one on trial, one that only looks on."""

DeploymentState = Literal["live", "replaced", "retired", "rolled_back", "inconclusive", "withdrawn"]
"""`rolled_back`: a canary that was shown to do harm. `inconclusive`: one of which nothing was shown in time.
`withdrawn`: a canary or shadow that somebody took back. `retired`: its endpoint went out of service."""


class Strategy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a deployment takes over the traffic of its endpoint. `tg.canary` and `tg.shadow` make it.

    Everything but `kind` speaks of a canary, and is fixed with the deployment, before any evidence is seen.
    """

    kind: Literal["all_at_once", "canary", "shadow"] = "all_at_once"
    steps: tuple[float, ...] = ()
    """Shares of the traffic, in percent, rising to 100."""
    alpha: float = 0.05
    """The chance of stopping a canary that does no harm, and that of promoting one that is worse by the margin."""
    margin: float = 0.01
    """On rows that both variants scored: how much the mean loss, which lies in [0, 1], may be higher and still count
    as not worse. More is harm."""
    ratio: float = 1.4
    """On split traffic: how many times stable's rate of wrong answers still counts as not worse."""
    rows: int = 300
    """The canary scores at least so many rows at each step."""
    labels: int = 100
    """The labels of at least so many rows that it scored are known at each step."""
    least_days: float = 0.0
    """Business time before which nothing is promoted: evidence speaks of the days seen, and days differ."""
    days: float = 14.0
    """Business time after which a canary that nothing was shown of is `inconclusive`."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One model version behind one endpoint."""

    id: str
    endpoint: str
    model: str
    number: int
    digest: str
    strategy: Strategy
    variant: Variant = "stable"
    state: DeploymentState = "live"
    share: float | None = None
    """Of a canary: the percentage of the traffic that it answers; 0 until its rollout has begun."""
    task: Task
    classes: tuple[Label, ...] = ()
    created_at: Instant
    by: str

    @property
    def version(self) -> str:
        """The model version as a reference, such as `late-arrival/3`."""
        return f"{self.model}/{self.number}"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A name under which predictions are asked for, and the deployments behind it.

    `classes` are those of all its deployments, so that a label may name a class that only an earlier version knew.
    """

    name: str
    state: Literal["live", "retired"]
    live: Deployment | None
    """The stable deployment."""
    canary: Deployment | None = None
    shadows: tuple[Deployment, ...] = ()
    outcome_independent: bool = False
    """Whether what happens does not depend on what was predicted, so that variants may be compared on the same rows."""
    task: Task
    classes: tuple[Label, ...] = ()
    created_at: Instant
    by: str


class PredictionOut(msgspec.Struct, frozen=True, gc=False):
    """The answer to one row.

    `value` is null where the model answered NaN or an infinity. `probabilities` are by class as JSON spells it,
    null where the model has none.
    """

    id: str
    value: Label | None
    probabilities: dict[str, float] | None
    model: str
    variant: str


class PredictAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answers, in the order of the rows."""

    predictions: list[PredictionOut]


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows to be answered, each still JSON text, and, where they are not of now, the business time of each."""

    rows: list[msgspec.Raw]
    at: list[Instant] | None = None


class OutcomeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turned out to be true of one prediction, and when that was seen."""

    prediction_id: str
    value: Label
    observed_at: Instant


class LabelsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labels for predictions of one endpoint."""

    labels: list[OutcomeIn]


class LabelsAnswer(msgspec.Struct, frozen=True):
    """How many labels were taken: all of them."""

    accepted: int
