"""What the room of runs speaks of: one execution of training code, what went in, and what it measured."""

from typing import Final, Literal

import msgspec

from tidegate.kernel import notebook
from tidegate.kernel.clock import Instant
from tidegate.kernel.real import Real

Status = Literal["running", "scheduled", "finished", "failed", "killed"]
"""`scheduled` runs have not begun, `killed` ones were ended by somebody else."""

ENDED: Final[tuple[Status, ...]] = ("finished", "failed", "killed")

Value = str | int | float | bool | None
"""A parameter. A float that is NaN or infinite is spelt as text by `ActiveRun`, and refused elsewhere."""


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The code that ran. Outside of a git repository ``commit`` is null and ``absent`` says why."""

    entry: str = ""
    """The script, or the module that was started."""
    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    """Whether tracked files differed from the commit, or files were untracked."""
    diff_digest: str | None = None
    """The object with the difference of tracked files to the commit, as git prints it."""
    diff_truncated: bool = False
    """Whether the difference was longer than 10 MiB; the first 10 MiB are kept."""
    untracked: int = 0
    """Files that git does not know, and that the difference does not hold."""
    absent: str = ""

    @property
    def key(self) -> str | None:
        """What names this state of the code: the commit, and the difference to it. None without a commit."""
        if self.commit is None:
            return None
        return self.commit if self.diff_digest is None else f"{self.commit}+{self.diff_digest[:16]}"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the code ran in."""

    python: str
    platform: str
    packages: int
    packages_digest: str
    """The object with the installed distributions, sorted, as lines of ``name==version``."""


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """What another tool says of a dataset that it keeps."""

    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""
    tags: dict[str, str] = {}


class RunInput(msgspec.Struct, frozen=True):
    """A dataset that went in. ``label`` is what people call it, such as ``flights/3``.

    Of one that another tool keeps, ``digest`` is that tool's own, and ``foreign`` what it says.
    """

    digest: str
    label: str
    foreign: Foreign | None = None


class Artifact(msgspec.Struct, frozen=True):
    """A named object that the run left."""

    name: str
    digest: str
    bytes: int


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. ``at`` is null on its way in, and then means the moment of arrival."""

    name: str
    value: Real
    step: int = 0
    at: Instant | None = None


class Measurements(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of one metric by columns, all of one length: for whoever reads thousands."""

    name: str
    steps: tuple[int, ...] = ()
    micros: tuple[int, ...] = ()
    """When each was made, in microseconds since 1970, UTC."""
    values: tuple[Real, ...] = ()
    next: str | None = None
    """The cursor for those after these, null where there are none."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """The points of a chart between two steps, both included: what is first, last, least and greatest, exactly.

    First and last are in the order of step, time, value. Least and greatest ignore NaN, and are null where nothing
    else is; of equal ones the step is the least.
    """

    start_step: int
    end_step: int
    count: int
    nan_count: int
    first_step: int
    first: Real
    last_step: int
    last: Real
    least_step: int | None
    least: Real | None
    greatest_step: int | None
    greatest: Real | None


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over its steps, by buckets of one width; those without points are left out."""

    name: str
    buckets: tuple[Bucket, ...]


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """What groups runs. A deleted one is kept until it is restored."""

    id: str
    name: str
    by: str
    created_at: Instant
    updated_at: Instant
    deleted_at: Instant | None = None
    tags: dict[str, str] = {}

    def _repr_html_(self) -> str:
        return notebook.card(
            f"experiment {self.name}",
            {
                "id": self.id,
                "made": self.created_at,
                "by": self.by,
                "changed": self.updated_at,
                "deleted": self.deleted_at,
                "tags": self.tags,
            },
        )


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution."""

    id: str
    name: str = ""
    experiment: str
    """The name of its experiment."""
    experiment_id: str
    parent: str | None = None
    """The run that it is a part of."""
    status: Status
    started_at: Instant
    ended_at: Instant | None = None
    deleted_at: Instant | None = None
    actor: str
    error: str = ""
    """Why it failed."""
    stale: bool = False
    """Whether it is running, and has not been heard of for `stale_run_minutes`."""
    params: dict[str, Value] = {}
    latest: tuple[Metric, ...] = ()
    """The latest measurement of each metric, by name: of the greatest step, then time, then value."""
    tags: dict[str, str] = {}
    inputs: tuple[RunInput, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    code: Code
    environment: Environment | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The latest value of each metric."""
        return {metric.name: metric.value for metric in self.latest}

    def _repr_html_(self) -> str:
        took = None if self.ended_at is None else f"{(self.ended_at - self.started_at).total_seconds():,.1f} s"
        return notebook.card(
            f"run {self.name or self.id} of {self.experiment}",
            {
                "status": f"{self.status} (deleted)" if self.deleted_at is not None else self.status,
                "error": self.error,
                "id": self.id,
                "started": self.started_at,
                "took": took,
                "by": self.actor,
                "parent": self.parent,
                "code": f"{(self.code.commit or '')[:12]} {self.code.entry}".strip(),
                "python": self.environment and self.environment.python,
                "inputs": tuple(one.label for one in self.inputs),
                **{f"param {name}": value for name, value in self.params.items()},
                **{f"metric {metric.name}": metric.value for metric in self.latest},
                "tags": self.tags,
                "artifacts": tuple(f"{one.name} ({one.bytes:,} bytes)" for one in self.artifacts),
            },
        )


class Held(msgspec.Struct, frozen=True):
    """Where a run is in its life."""

    status: Status
    deleted: bool


class Logged(msgspec.Struct, frozen=True):
    """What a call of `log` wrote."""

    run_id: str
    params: int = 0
    metrics: int = 0
    tags: int = 0
    inputs: int = 0
    artifacts: int = 0
