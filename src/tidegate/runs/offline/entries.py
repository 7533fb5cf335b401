"""What an offline run notes, entry by entry, and what a home answers when it takes entries in."""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec.structs import replace

from tidegate.kernel.clock import Instant
from tidegate.runs.records import Artifact, Code, Environment, Metric, Value

METRICS_AT_ONCE = 1000
"""Measurements of one entry at most, so that an entry always fits into a request."""


class Begun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run began."""

    experiment: str
    name: str = ""
    parent: str = ""
    started_at: Instant
    code: Code = Code(absent="not told")
    environment: Environment | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run ended."""

    status: Literal["finished", "failed", "killed"] = "finished"
    error: str = ""
    at: Instant


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a run noted. The first entry of a journal, number 0, says how the run began; no other one does.

    ``inputs`` are references of dataset versions, each with its number or digest.
    """

    begun: Begun | None = None
    params: dict[str, Value] = {}
    metrics: tuple[Metric, ...] = ()
    tags: dict[str, str] = {}
    inputs: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    ended: Ended | None = None

    def digests(self) -> Iterator[str]:
        """The objects that it refers to."""
        yield from (artifact.digest for artifact in self.artifacts)
        if self.begun is not None:
            if self.begun.code.diff_digest is not None:
                yield self.begun.code.diff_digest
            if self.begun.environment is not None:
                yield self.begun.environment.packages_digest


def gathered(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, those that only measure put together with those before them: they say the same in one write."""
    held: Entry | None = None
    for entry in entries:
        if held is None:
            held = entry
        elif entry == Entry(metrics=entry.metrics) and held.ended is None:
            held = replace(held, metrics=held.metrics + entry.metrics)
        else:
            yield held
            held = entry
    if held is not None:
        yield held


class Appended(msgspec.Struct, frozen=True):
    """How many entries of a run's journal the home has, from the first on."""

    run_id: str
    entries: int
    written: int
    """Those among them that the call wrote."""


class UploadedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload did for one run."""

    run_id: str
    experiment: str
    entries: int
    """Entries that the home has now."""
    sent: int
    """Entries among them that it did not have before."""
    ended: bool
    """Whether the journal says how the run ended. One that does not may be running, or was killed."""
    error: str = ""
    """Why the home refused the rest; empty where it took everything."""
