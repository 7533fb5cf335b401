"""What the room speaks of: endpoints, the deployments behind them, and what a prediction and a label look like."""

from typing import Literal

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.models.signature import Label, Task

Variant = Literal["stable"]
"""Which of an endpoint's deployments answered."""


class Strategy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a deployment takes over the traffic of its endpoint."""

    kind: Literal["all_at_once"] = "all_at_once"


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One model version behind one endpoint."""

    id: str
    endpoint: str
    model: str
    number: int
    digest: str
    strategy: Strategy
    variant: Variant = "stable"
    state: Literal["live", "replaced", "retired"] = "live"
    task: Task
    classes: tuple[Label, ...] = ()
    created_at: Instant
    by: str

    @property
    def version(self) -> str:
        """The model version as a reference, such as `late-arrival/3`."""
        return f"{self.model}/{self.number}"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A name under which predictions are asked for, and the deployment that answers.

    `classes` are those of all its deployments, so that a label may name a class that only an earlier version knew.
    """

    name: str
    state: Literal["live", "retired"]
    live: Deployment | None
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
