"""What the room speaks of: windows of quality, and how an endpoint stands."""

from typing import NamedTuple

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.kernel.real import Real
from tidegate.predictions.records import Mark

DAY = 86_400
"""Seconds of a window, unless an endpoint has a length of its own."""

SHADOW = "shadow"
"""The variant of answers that nobody was given."""


class Estimate(msgspec.Struct, frozen=True):
    """A figure with its 95 % interval. The bounds are NaN where so few rows define none."""

    value: Real
    low: Real
    high: Real
    n: int
    """Rows that it rests on."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of one window come to. A metric is None where the rows do not define it."""

    predictions: int
    failed: int
    """Predictions without a usable answer: the model failed, or answered with NaN or an infinity."""
    labels: int
    unusable: int = 0
    """Labelled predictions that no metric counts: they failed, or the label is NaN or infinite."""
    accuracy: Estimate | None = None
    """By Wilson's interval. A label of a class that the model does not know counts as wrong."""
    auc: Estimate | None = None
    """Of the second of two classes, by DeLong's interval."""
    log_loss: Estimate | None = None
    """Of two classes, in nats."""
    brier: Estimate | None = None
    """Of two classes."""
    mae: Estimate | None = None
    """Mean absolute error of a regression."""
    score: Estimate | None = None
    """Mean probability of the second of two classes; of a regression, the mean answer."""
    positives: Estimate | None = None
    """Share of answers that are the second of two classes, by Wilson's interval."""
    latency_p50: Real
    """Microseconds, over predictions; NaN in a shadow, whose latency nobody felt."""
    latency_p95: Real
    unknown: dict[str, int] = {}
    """How often each column held a category that the model does not know."""
    missing: dict[str, int] = {}
    """How often each column lacked a feature."""


class QualityWindow(Figures, frozen=True, kw_only=True):
    """What the predictions of one model version at one endpoint, from `start` to before `end`, were worth."""

    endpoint: str
    model: str
    """The version that answered, such as `late-arrival/3`."""
    variant: str
    """`stable`, `canary`, or `shadow`: answers to rows of which somebody else's answer was given."""
    start: Instant
    end: Instant
    updated_at: Instant


class EndpointQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint stands."""

    endpoint: str
    window_seconds: int
    newest: list[QualityWindow]
    """The newest window, once for each model version that answered in it."""
    labelled: list[QualityWindow]
    """The newest window that has labels: quality as far as it is known."""
    orphans: int
    """Labels that arrived for predictions which nobody has seen."""
    orphan_examples: list[str]
    """A few of the ids that they name."""


class WindowKey(NamedTuple):
    """Which window of which version. `start` in microseconds."""

    endpoint: str
    model: str
    number: int
    variant: str
    seconds: int
    start: int


class StoredWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window as the catalog keeps it: figures, and where its rows are."""

    key: WindowKey
    first_id: str
    last_id: str
    """Least and greatest id of its predictions."""
    profile: str
    """Digest of the object that holds its rows."""
    window: QualityWindow


class Orphans(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of an endpoint whose predictions have not been seen."""

    count: int
    examples: list[str]
    profile: str
    """Digest of the object that holds them; empty when there are none."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a step of the controller starts from."""

    revision: int
    marks: dict[str, Mark]
    seconds: dict[str, int]
    """Window lengths of endpoints that have one of their own."""
    orphans: dict[str, Orphans]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a step of the controller found out; saved as a whole or not at all."""

    marks: dict[str, Mark]
    windows: tuple[StoredWindow, ...] = ()
    removed: tuple[WindowKey, ...] = ()
    orphans: dict[str, Orphans] = {}
