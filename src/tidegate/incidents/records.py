"""What incidents speak of: an incident, and the entries of its timeline."""

from typing import Literal

import msgspec

from tidegate.kernel.clock import Instant

Severity = Literal["warning", "critical"]
"""`critical`: what is served now is harmed. `warning`: it was averted, or it is something else."""

IncidentState = Literal["open", "acknowledged", "resolved"]
"""`resolved` is final."""

EntryKind = Literal["opened", "seen", "held_back", "note", "acknowledged", "resolved"]
"""`seen`: the same cause again. `held_back`: a retraining was suppressed meanwhile."""


class IncidentEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline."""

    at: Instant
    by: str
    kind: EntryKind
    text: str
    position: int | None = None
    """Of the event that it tells of; None where a person wrote it."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person ought to look at. One a cause."""

    id: str
    subject: str
    """Whose it is: an endpoint's name, or a pipeline's."""
    endpoint: str | None
    """The subject, where that is an endpoint."""
    title: str
    severity: Severity
    state: IncidentState
    cause: str
    """What brought it about, such as `episode/…`, `rollout/…` or `pipeline-run/…`, with its id."""
    what_to_do: str
    position: int
    """Of the event that opened it."""
    opened_at: Instant
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = None
    resolved_at: Instant | None = None
    resolved_by: str | None = None
    """Who resolved it; None while nobody has, and where it resolved itself."""
    automatic: bool = False
    """Whether it resolved itself, because its cause went away."""
    resolution: str = ""
    """Why it is resolved."""


class IncidentStory(Incident, frozen=True, kw_only=True):
    """An incident with its timeline, the oldest entry first."""

    timeline: tuple[IncidentEntry, ...]
