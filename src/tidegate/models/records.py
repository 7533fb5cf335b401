"""What the room of models speaks of: versions, their stages, what was attested of them, and what a stage asks for."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.data.records import Origin
from tidegate.kernel import notebook
from tidegate.kernel.clock import Instant
from tidegate.kernel.errors import Refused
from tidegate.kernel.real import Real
from tidegate.models.signature import Signature
from tidegate.runs.records import Artifact

Stage = Literal["development", "staging", "production", "archived"]

Verdict = Literal["pass", "fail", "not_enough_data", "withdrawn"]
"""`withdrawn` takes back what the same person attested before."""

Cell = str | float | bool | None
"""A value of an example row."""

APPROVAL = "approval"
"""The kind of attestation by which a person approves (`pass`) or rejects (`fail`) a version."""

OVERRIDE = "override:"
"""Before a gate's kind: an admin's word that a version may pass without that gate (``override:gate:quality``)."""

TRUST = "trust"
"""The kind of attestation by which a person lets the code of a version run (`pass`), until it is `withdrawn`."""

PYFUNC = "pyfunc"
"""The runtime of a directory that runs code of its own, in a process of its own, where somebody trusts it."""

DRAFT = "draft"
"""The fact of a manifest that names the draft that it was made of."""

UNSIGNED = "signature"
"""The fact of a manifest without a signature that says why its directory's own was not taken."""

CHAMPION = "champion"
"""The alias of the version that serves, and that others are measured against."""


class Inputs(Protocol):
    """The rows that a model was trained on, as `Models.log` asks for them.

    ``columns`` (a sequence of `kernel.schema.Column`), where it has them, names and types the columns of the matrix.
    ``service``, where it has one, is the digest of the feature service that computed them, and will when it is served.
    """

    @property
    def X(self) -> NDArray[np.float32]:
        """The matrix, shape (rows, columns)."""
        ...

    @property
    def digest(self) -> str:
        """The digest of the rows and of how they were selected."""
        ...

    @property
    def lineage(self) -> Sequence[Origin]:
        """The dataset versions that the rows came from."""
        ...


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All that a version is; its digest names the version.

    The model's name is inside, so what was attested of one name never counts for another.
    """

    name: str
    signature: Signature | None = None
    """None where nothing tells it in our words."""
    format: str
    runtime: str
    """The format that answers in serving; empty for files that no server may load."""
    files: dict[str, str]
    """The digest of each file, by its name, or by its path where no server loads it."""
    facts: dict[str, str] = {}
    """What was checked when it was saved, and why ONNX was taken or not."""
    example: tuple[dict[str, Cell], ...] = ()
    """Some training rows, as `predict` takes them."""
    inputs: str = ""
    """The digest of the training rows."""
    origins: tuple[Origin, ...] = ()
    service: str | None = None
    """The digest of the feature service whose features it takes; None where a request brings all of them."""
    run_id: str | None = None


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model, and the stage that it has reached."""

    name: str
    number: int
    digest: str
    stage: Stage
    created_at: Instant
    created_by: str
    """The author, who can never approve it."""
    note: str
    manifest: Manifest
    updated_at: Instant
    """When its stage, note or tags last changed."""
    tags: dict[str, str] = {}

    @property
    def reference(self) -> str:
        """How people call it, such as ``late-arrival/3``."""
        return f"{self.name}/{self.number}"

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out. Raises `Refused` where its format does not say."""
        if self.manifest.signature is None:
            raise Refused(
                f"{self.reference} is a directory of format {self.manifest.format}, without a signature of ours"
                f"{self.unsigned}: it is kept and handed out, but no server loads it, since its files may run whatever "
                "their author wrote; "
                "log the model with models.log(name, model, inputs=rows), which keeps it in a safe format; or, where "
                "there is none for it, make a version with a signature, which runs in a process of its own once an "
                f"admin trusts it: drafts.adopt({self.name!r}, version={self.reference!r}, signature=…)",
                version=self.reference,
                format=self.manifest.format,
            )
        return self.manifest.signature

    @property
    def unsigned(self) -> str:
        """Why its directory's own signature was not taken, in parentheses; empty where nobody knows."""
        why = self.manifest.facts.get(UNSIGNED)
        return f" ({why})" if why else ""

    @property
    def runtime(self) -> str:
        """The format that answers in serving."""
        return self.manifest.runtime

    @property
    def run_id(self) -> str | None:
        """The run that made it."""
        return self.manifest.run_id

    @property
    def draft_id(self) -> str | None:
        """The draft that it was made of."""
        return self.manifest.facts.get(DRAFT)

    @property
    def example(self) -> tuple[dict[str, Cell], ...]:
        """Some training rows, as `predict` takes them."""
        return self.manifest.example

    def __str__(self) -> str:
        return self.reference

    def _repr_html_(self) -> str:
        signature = self.manifest.signature
        return notebook.card(
            f"version {self.reference}",
            {
                "stage": self.stage,
                "digest": self.digest,
                "made": self.created_at,
                "by": self.created_by,
                "note": self.note,
                "format": self.manifest.format,
                "runtime": self.runtime,
                "run": self.run_id,
                "trained on": tuple(origin.label or origin.digest[:12] for origin in self.manifest.origins),
                "task": signature and signature.task,
                "columns": signature and tuple(column.name for column in signature.columns),
            },
        )


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A name with versions, and what people say of it."""

    name: str
    owner: str
    """Who answers for it."""
    note: str = ""
    tags: dict[str, str] = {}
    versions: int = 0
    """How many there are."""
    aliases: dict[str, int] = {}
    """The number of the version that each alias points at."""
    created_at: Instant
    created_by: str
    updated_at: Instant


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody found of a version: the verdict of a gate (``gate:quality``, …), an approval or an override."""

    id: str
    subject: str
    """The digest of the version."""
    kind: str
    verdict: Verdict
    policy_digest: str
    by: str
    at: Instant
    reason: str
    evidence: dict[str, str]


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name that points at one version at a time."""

    name: str
    alias: str
    number: int
    moved_at: Instant
    moved_by: str


class StagePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a version must show before it may move to a stage.

    ``gates``: kinds of attestation whose newest verdict must be `pass`. ``approvals``: how many people other than the
    author must approve. ``pinned``: for a gate, the digest of the only gate policy whose verdict counts.
    """

    gates: tuple[str, ...] = ()
    approvals: int = 0
    pinned: dict[str, str] = {}


class StageRules(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of one stage of one model. ``set_by`` is empty while it is the one that Tidegate begins with."""

    name: str
    stage: Stage
    policy: StagePolicy
    digest: str
    set_by: str = ""
    set_at: Instant | None = None


DraftStatus = Literal["pending", "ready", "failed"]
"""`pending` until whoever logs it says that all of it is there, or that it failed."""


class DraftMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement of a draft, by a run, on a dataset where one is named. ``at`` is null on its way in: now."""

    name: str
    value: Real
    step: int = 0
    at: Instant | None = None
    run_id: str = ""
    dataset: str = ""
    dataset_digest: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a model that a run left, before they are a version: what MLflow calls a logged model."""

    id: str
    name: str
    experiment_id: str
    run_id: str | None = None
    """The run that made it."""
    kind: str = ""
    """What its tool calls its type, such as ``agent``."""
    status: DraftStatus
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: tuple[DraftMetric, ...] = ()
    files: tuple[Artifact, ...] = ()
    """By path."""
    created_at: Instant
    created_by: str
    updated_at: Instant


class DraftUse(msgspec.Struct, frozen=True, kw_only=True):
    """That a run left a draft (`output`), or took one (`input`)."""

    draft_id: str
    run_id: str
    role: Literal["input", "output"]
    step: int = 0


class Change(msgspec.Struct, frozen=True):
    """One thing that differs between two versions; null where one of them lacks it."""

    what: str
    """Such as ``column.wind``, ``param.depth`` or ``metric.auc``."""
    before: str | None
    after: str | None


class VersionDiff(msgspec.Struct, frozen=True, kw_only=True):
    """How one version differs from another: signature, files, data, code, params, metrics, tags, stage."""

    before: str
    after: str
    changes: tuple[Change, ...]
