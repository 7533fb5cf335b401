"""What gates speak of: the policy that is fixed before a test, the plan of the test, and its report."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.data.records import Origin
from tidegate.kernel.clock import Instant
from tidegate.kernel.errors import Refused
from tidegate.kernel.real import Real

Metric = Literal["auc", "accuracy", "log_loss", "mae"]

Against = Literal["champion", "baseline"]

GateVerdict = Literal["pass", "fail", "not_enough_data"]

QUALITY = "gate:quality"
"""The kind of attestation that this gate writes."""


class HeldOut(Protocol):
    """Rows that no model was trained on, with what became of them.

    Where they have a ``frame``, each model takes its own columns from it; otherwise all take the matrix. A frame that
    also holds rows without a label stands beside ``labelled``, its rows that have one.
    """

    @property
    def X(self) -> NDArray[np.float32]:
        """The matrix, shape (rows, columns)."""
        ...

    @property
    def y(self) -> NDArray[Any]:
        """The labels, shape (rows,)."""
        ...

    @property
    def digest(self) -> str:
        """The name of exactly these rows."""
        ...

    @property
    def lineage(self) -> Sequence[Origin]:
        """The dataset versions that the rows came from."""
        ...


class QualityPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How good a version must be. Its digest is fixed before the test runs.

    Against the champion it must be shown not to be worse by more than ``margin``; while there is none, to be better
    than the best constant answer by more than ``must_beat``. Both are in the unit of the metric, and shown means that
    the bound of the two-sided ``confidence`` interval lies on the right side. Fewer than ``minimum_rows`` rows, or for
    AUC fewer than ``minimum_class_rows`` of the rarer class, are not enough data.
    """

    metric: Metric
    margin: float = 0.01
    must_beat: float = 0.0
    confidence: float = 0.95
    minimum_rows: int = 200
    minimum_class_rows: int = 20


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison on the same rows measured.

    ``estimate``, ``low`` and ``high`` are of the improvement: positive is better, whichever way the metric goes. NaN
    where the rows do not define it.
    """

    n: int
    rarest_class: int | None = None
    candidate: Real
    reference: Real
    estimate: Real
    low: Real
    high: Real


class GatePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A test that was announced: which version, on which rows, against what, by which policy."""

    id: str
    version: str
    digest: str
    against: Against
    champion: str | None
    champion_digest: str | None
    dataset: str
    """The digest of the rows and of how they were chosen."""
    origins: tuple[Origin, ...]
    policy: QualityPolicy
    policy_digest: str
    planned_at: Instant
    by: str


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a plan: the verdict, and every figure that it rests on."""

    plan: GatePlan
    figures: Figures
    verdict: GateVerdict
    reason: str
    threshold: float
    """The improvement that had to be shown: minus the margin, or what the baseline must be beaten by."""
    at: Instant

    @property
    def id(self) -> str:
        """The id of the plan and of its report."""
        return self.plan.id

    @property
    def passed(self) -> bool:
        """Whether the version was shown to be good enough."""
        return self.verdict == "pass"

    def require(self) -> Self:
        """The report itself. Raises `Refused` with the figures unless the verdict is pass."""
        if self.passed:
            return self
        raise Refused(
            f"{self.plan.version} does not pass the gate quality: {self.reason}",
            version=self.plan.version,
            report=self.id,
            verdict=self.verdict,
            policy=self.plan.policy_digest,
        )
