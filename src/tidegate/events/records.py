"""What an event says: a CloudEvent (https://cloudevents.io, version 1.0) with a position."""

from typing import Protocol

import msgspec

from tidegate.kernel.clock import Instant


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact. ``type`` reads like ``tidegate.models.promoted``, ``subject`` like ``late-arrival/3``."""

    position: int
    id: str
    type: str
    subject: str
    time: Instant
    actor: str
    data: dict[str, object]


class Facts(Protocol):
    """Where a service writes what it changed, inside the transaction of the change."""

    def append(self, type_: str, subject: str, **data: object) -> None:
        """Add one fact."""
        ...
