"""What the demo found: everything that `tidegate demo --json` prints."""

from typing import Any

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.kernel.real import Real


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Flights by what they were used for."""

    trained: int
    held_out: int
    served: int
    without_label: int
    """Flights of the first two that never arrived, and so taught nothing."""


class Bounded(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with its 95 % interval."""

    estimate: Real
    low: Real
    high: Real
    n: int


class DemoModel(msgspec.Struct, frozen=True, kw_only=True):
    """The version that was made."""

    version: str
    runtime: str
    conversion: str
    """Why ONNX was taken, or not."""
    digest: str
    auc_held_out: Bounded


class DemoGate(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate found: the improvement over the baseline, and the margin that it had to exceed."""

    verdict: str
    estimate: Real
    interval: tuple[Real, Real]
    n: int
    margin: float


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """What was refused, in the words of the refusal."""

    damaged_copy: str
    early_promotion: str
    author_approval: str


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """What was killed, and the seconds until the next prediction was acknowledged."""

    killed: str
    acknowledged_before: int
    seconds: float


class DemoWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window of quality."""

    start: Instant
    end: Instant
    predictions: int
    labels: int
    auc: Bounded | None
    accuracy: Bounded | None
    latency_p50_ms: Real
    latency_p95_ms: Real


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What the client was told, held against what the home kept."""

    acknowledged: int
    lost: int
    """Acknowledged predictions and labels that are missing or changed."""
    doubled: int
    """Acknowledged predictions that are there more than once."""
    unacknowledged: int
    """Predictions in the log whose answer was cut off; the client asked again and got other ids."""


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happened."""

    held: bool
    """Whether nothing was lost, everything that must be refused was, and every label was counted."""
    home: str
    url: str
    pid: int
    """The server's process; 0 once it is stopped."""
    rows: RowCounts
    model: DemoModel
    gate: DemoGate
    approver: str
    refusals: Refusals
    acknowledged: int
    lost: int
    doubled: int
    unacknowledged: int
    retried: int
    retried_requests: int
    labels: int
    quality: tuple[DemoWindow, ...]
    why: dict[str, Any]
    restarts: tuple[Restart, ...]
    restart_seconds: float
    """The longer of the two."""
    seconds: float
