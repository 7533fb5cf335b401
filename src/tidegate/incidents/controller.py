"""Reads the facts as they come, and opens, adds to and resolves incidents."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from tidegate.events.records import Event
from tidegate.incidents.book import BookStore, IncidentBook
from tidegate.incidents.rules import RULES
from tidegate.kernel.context import Call, current
from tidegate.kernel.errors import Conflict

CONSUMER: Final = "incidents"

ACTOR: Final = "controller:incidents"
"""Who writes the facts that incidents are opened and resolve themselves. No person has such a name."""


class FactReader(Protocol):
    """The facts, and how far each consumer has read them."""

    def after(self, position: int, limit: int = ..., type_prefix: str = ...) -> list[Event]:
        """Events after a position, in order."""
        ...

    def cursor(self, consumer: str) -> int:
        """How far a consumer has read."""
        ...

    def advance(self, consumer: str, position: int) -> None:
        """Note how far a consumer has read, inside the ambient transaction."""
        ...


class IncidentController:
    """One step reads some facts. What they change and how far they are read is one transaction, written once."""

    def __init__(self, *, store: BookStore, book: IncidentBook, events: FactReader, batch: int = 500) -> None:
        self._store = store
        self._book = book
        self._events = events
        self._batch = batch

    def step(self, fence: Callable[[Any], None] | None = None) -> float | None:
        """Read some facts; 0 when there may be more, or when somebody may want to know what changed.

        Raises `Conflict` when another controller was quicker or `fence` refuses; nothing is written then.
        """
        read = self._events.cursor(CONSUMER)
        found = self._events.after(read, self._batch)
        if not found:
            return None
        meant = [event for event in found if event.type in RULES]

        def work() -> bool:
            if self._events.cursor(CONSUMER) != read:
                raise Conflict("another controller has read these facts meanwhile; run again")
            changed = [self._book.hear(event) for event in meant]
            self._events.advance(CONSUMER, found[-1].position)
            return any(changed)

        token = current.set(Call(actor=ACTOR))
        try:
            changed = self._store.write(work, fence)
        finally:
            current.reset(token)
        return 0.0 if changed or len(found) == self._batch else None
