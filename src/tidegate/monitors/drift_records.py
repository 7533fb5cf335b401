"""What drift is told in: settings, columns of a window, segments, episodes, a diagnosis."""

from typing import Literal

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.kernel.real import Real
from tidegate.monitors.records import DAY, Estimate

Kind = Literal["feature", "prediction", "quality", "latency"]
Severity = Literal["information", "incident"]
Verdict = Literal["no_change", "covariate_shift", "broken_input", "concept_change", "insufficient_labels"]
Performance = Literal["holds", "lost", "unknown"]
ColumnType = Literal["number", "text"]


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What windows are compared with: the first `windows`, a span of served windows, or a frame."""

    windows: int = 28
    since: Instant | None = None
    until: Instant | None = None
    frame: str = ""
    """Digest of a Parquet object with the columns of the inputs, and when each row was."""
    at: str = ""
    """The column of the frame that says when."""


class DriftSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint is watched."""

    segments: tuple[str, ...] = ()
    """Columns of the inputs whose values part the traffic."""
    reference: Reference = Reference()
    alarm_every: int = 100
    """At most one false alarm in so many windows, all columns together."""
    inputs_after: int = 2 * 3600
    """Seconds after the end of a window at which all its predictions are taken to be logged."""
    labels_after: int = DAY
    """Seconds after the end of a window at which its labels are taken to be known."""
    quiet: int = 5
    """So many windows in a row within the usual variation end an episode."""


class ColumnWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the inputs in one window, beside the reference where there is one."""

    column: str
    type: ColumnType
    count: int
    nulls: int
    """Absent, null, or no number in a column of numbers."""
    distinct: int
    mean: Real
    """NaN for text, like the other figures of numbers."""
    deviation: Real
    """Mean absolute deviation from the mean."""
    quantiles: list[Real] = []
    """Least, 5, 25, 50, 75, 95 % and greatest."""
    bins: list[int] = []
    """Counts in the reference's bins."""
    categories: dict[str, int] = {}
    """The most frequent ones; the rest is `others`."""
    others: int = 0
    unseen: Real
    """Share of the rows with a value that the reference never has; NaN where the reference has too many values."""
    psi: Real
    jsd: Real
    ks: Real
    """Of the bins for numbers; NaN for text."""
    out: dict[str, Real] = {}
    """How far each figure is out, in standard deviations between reference windows."""
    suspicion: str = ""
    """What looks broken about the column in this window."""


class FeatureWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of one window, whichever variant answered."""

    endpoint: str
    start: Instant
    end: Instant
    rows: int
    reference: str
    """What it is compared with, in words; empty while there is no reference yet."""
    rule: str
    """The bins, base and zero rule of PSI, JSD and KS."""
    columns: list[ColumnWindow]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a window that has one value in one column. Figures as in a window of quality."""

    column: str
    value: str | None
    """None stands for null; `overflow` says that it is all values beyond the most frequent."""
    overflow: bool = False
    predictions: int
    labels: int
    score: Estimate | None = None
    accuracy: Estimate | None = None
    auc: Estimate | None = None
    brier: Estimate | None = None
    mae: Estimate | None = None


class SegmentWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The segments of one window, of the rows that stable and canary answered."""

    endpoint: str
    start: Instant
    end: Instant
    segments: list[Segment]


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that changed, from when it was noticed until it returned."""

    id: str
    endpoint: str
    kind: Kind
    column: str
    """A column of the inputs; `score`, `performance`, `latency_p50` or `latency_p95` for the other kinds."""
    opened: Instant
    """Start of the window in which it was noticed."""
    last: Instant
    """Start of the newest window that was out."""
    closed: Instant | None = None
    """Start of the window that ended it."""
    closed_by: str = ""
    peak: Real
    """The farthest that it was out, in standard deviations."""
    psi: Real
    """The greatest PSI; NaN for other kinds than `feature`."""
    severity: Severity
    diagnosis: Verdict
    summary: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What is the matter with an endpoint, and what to do."""

    endpoint: str
    verdict: Verdict
    columns: tuple[str, ...]
    """The suspects."""
    performance: Performance
    retraining: Literal["blocked", "not needed", "advised", "undecided"]
    evidence: tuple[str, ...]
    advice: str
    as_of: Instant | None
    """End of the newest window that was judged."""
