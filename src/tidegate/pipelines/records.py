"""What pipelines speak of: a pipeline and its versions, a run of it and its steps, and what a step may answer."""

from typing import Literal, NamedTuple

import msgspec

from tidegate.kernel.clock import Instant

State = Literal["pending", "running", "waiting", "done", "failed", "cancelled"]
"""Of a run and of each of its steps. The last three are final."""


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a pipeline: which functions run, in which order."""

    name: str
    number: int
    digest: str
    """Of its steps; the same steps have the same digest."""
    steps: tuple[str, ...]
    """Importable functions, each as `package.module:function`. A step is named by its function."""
    registered_at: Instant
    by: str

    @property
    def reference(self) -> str:
        """How it is named, as in `nightly/3`."""
        return f"{self.name}/{self.number}"


class PipelineStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one run."""

    name: str
    function: str
    state: State = "pending"
    attempts: int = 0
    """How often it was begun without coming to an end or to a wait. More than one: its process died on the way."""
    output: dict[str, object] | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None


class PipelineRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a pipeline."""

    id: str
    pipeline: str
    number: int
    """Which version of the pipeline runs."""
    key: str
    params: dict[str, object]
    state: State
    reason: str = ""
    """Why it waits, waited until it was asked again, failed or was cancelled."""
    steps: tuple[PipelineStep, ...]
    started_at: Instant
    by: str
    """Who started it: every step acts as this person."""
    asked_at: Instant | None = None
    """While it waits: when its step was asked last."""
    wait_until: Instant | None = None
    """While it waits: when its step wants to be asked again; None: as soon as something has happened."""
    ended_at: Instant | None = None

    @property
    def outputs(self) -> dict[str, dict[str, object]]:
        """What the steps that are done returned, by the step's name."""
        return {step.name: step.output or {} for step in self.steps if step.state == "done"}

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.state in ("done", "failed", "cancelled")


class Wait(msgspec.Struct, frozen=True):
    """What a step returns that cannot go on yet, such as until a second person has approved.

    It is asked again at `until` (business time); without one, once anything has happened in the home or a minute of
    business time has passed.
    """

    reason: str
    until: Instant | None = None


class Journaled(NamedTuple):
    """A run as the journal keeps it."""

    run: PipelineRun
    term: int
    """Counts the processes that took the run up: only the latest may move it on."""
    heard: int
    """The position of the newest event when its step was asked last."""
