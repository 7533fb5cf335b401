"""What the prediction log speaks of: the rows of its two topics, and a prediction as it is asked for."""

from typing import Literal

import msgspec

from tidegate.kernel.clock import Instant

Value = str | int | float | bool
"""A class label or a number: what a model answers, and what is observed later."""

Durability = Literal["acked", "durable", "best_effort"]
"""`acked`: survives the process. `durable`: survives power. `best_effort`: never waits, counts what it drops."""

PREDICTIONS = "predictions"
"""The topic of predictions."""

LABELS = "labels"
"""The topic of labels."""


FELL_BACK = "fell_back"
"""The status of a row that was the canary's to answer: the canary failed, and stable answered in its stead."""


class Source(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who answered. Made once a deployment, shared by its rows."""

    endpoint: str
    deployment: str
    model: str
    number: int
    variant: str
    classes: tuple[Value, ...] = ()
    """In the order of the probabilities; empty for a regression. Of two, the second is the positive one."""


class Shadow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What another variant would have answered to the same row. Nobody was given it."""

    source: Source
    value: Value | None
    probabilities: list[float] | None = None


class PredictionRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record of the topic `predictions`: one row that was asked for. Fields are only ever added at the end."""

    id: str
    at: int
    """Business time, in microseconds."""
    source: Source
    inputs: bytes
    """The row as JSON text (UTF-8)."""
    value: Value | None
    """None when the model failed."""
    probabilities: list[float] | None = None
    latency: int = 0
    """Microseconds that the answer took, for all rows that were asked for together."""
    status: str = "ok"
    unknown: dict[str, int] | None = None
    """How often each column held a category that the model does not know; the first row of a batch tells for all."""
    missing: dict[str, int] | None = None
    """How often each column lacked a feature."""
    weight: float | None = None
    """The canary's share of the traffic when this row was routed; None where it could only go one way."""
    shadows: list[Shadow] | None = None
    """What the other variants answered that scored the same row."""


class LabelRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record of the topic `labels`. A prediction may get several; see `predictions.rules` for which one holds."""

    prediction_id: str
    endpoint: str
    value: Value
    observed_at: int
    """When it became true, in microseconds of business time."""
    received_at: int
    """When it reached us."""


class Label(msgspec.Struct, frozen=True):
    """What became of a prediction."""

    prediction_id: str
    value: Value | None
    """None stands for NaN or an infinity."""
    observed_at: Instant
    received_at: Instant


class ShadowAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What another variant would have answered to the same row."""

    deployment: str
    model: str
    """The version, such as `late-arrival/1`."""
    variant: str
    value: Value | None
    probabilities: list[float | None] | None


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction, with whatever is known of its outcome."""

    id: str
    at: Instant
    endpoint: str
    deployment: str
    model: str
    """The version that answered, such as `late-arrival/3`."""
    variant: str
    inputs: dict[str, Value | None]
    """The row as it was asked for. NaN reads as null."""
    value: Value | None
    """None when the model failed, or answered with NaN or an infinity."""
    classes: list[Value]
    probabilities: list[float | None] | None
    """In the order of `classes`; None instead of a number that is not finite."""
    latency: int
    """Microseconds."""
    status: str
    unknown: dict[str, int]
    missing: dict[str, int]
    weight: float | None = None
    """The canary's share of the traffic when this row was routed; None where it could only go one way."""
    shadows: list[ShadowAnswer] = []
    """What the other variants answered that scored the same row."""
    label: Label | None = None
    """The label that holds."""
    labels: list[Label] = []
    """All different ones, the one that holds last."""


class EndpointCount(msgspec.Struct, frozen=True, kw_only=True):
    """How much the log holds of an endpoint."""

    endpoint: str
    predictions: int
    labels: int
    """Records of labels, corrections and repeats included."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a topic has been read: everything sealed up to `sequence`, and segments up to a record's number."""

    sequence: int = 0
    numbers: dict[str, int] = {}
    """The number of the last record read, for segments beyond `sequence` and those that are still files."""
