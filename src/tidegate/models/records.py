"""What the room of models speaks of: versions, their stages, what was attested of them, and what a stage asks for."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.data.records import Origin
from tidegate.kernel import notebook
from tidegate.kernel.clock import Instant
from tidegate.models.signature import Signature

Stage = Literal["development", "staging", "production", "archived"]

Verdict = Literal["pass", "fail", "not_enough_data", "withdrawn"]
"""`withdrawn` takes back what the same person attested before."""

Cell = str | float | bool | None
"""A value of an example row."""

APPROVAL = "approval"
"""The kind of attestation by which a person approves (`pass`) or rejects (`fail`) a version."""

OVERRIDE = "override:"
"""Before a gate's kind: an admin's word that a version may pass without that gate (``override:gate:quality``)."""

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
    signature: Signature
    format: str
    runtime: str
    """The format that answers in serving."""
    files: dict[str, str]
    """The digest of each file."""
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

    @property
    def reference(self) -> str:
        """How people call it, such as ``late-arrival/3``."""
        return f"{self.name}/{self.number}"

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""
        return self.manifest.signature

    @property
    def runtime(self) -> str:
        """The format that answers in serving."""
        return self.manifest.runtime

    @property
    def run_id(self) -> str | None:
        """The run that made it."""
        return self.manifest.run_id

    @property
    def example(self) -> tuple[dict[str, Cell], ...]:
        """Some training rows, as `predict` takes them."""
        return self.manifest.example

    def __str__(self) -> str:
        return self.reference

    def _repr_html_(self) -> str:
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
                "task": self.signature.task,
                "columns": tuple(column.name for column in self.signature.columns),
            },
        )


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A model's name and how many versions it has."""

    name: str
    versions: int
    created_at: Instant


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
