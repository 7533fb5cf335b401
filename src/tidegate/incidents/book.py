"""What happens to incidents: each change with its entry and its fact, inside one transaction."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from tidegate.events.records import Event, Facts
from tidegate.incidents import rules
from tidegate.incidents.records import EntryKind, Incident, IncidentEntry
from tidegate.incidents.rules import Addition, Closing, Opening
from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.context import actor
from tidegate.kernel.errors import NotFound
from tidegate.kernel.ids import IdFactory, parse_id

T = TypeVar("T")
Fence = Callable[[Any], None]

FULL: Final = 10_000
"""So many entries of facts a timeline takes; what people write always finds room."""


class BookStore(Protocol):
    """Where incidents are kept."""

    def write(self, work: Callable[[], T], fence: Fence | None = None) -> T:
        """Run a function inside one write transaction, which no other one that changes incidents overlaps."""
        ...

    def find(self, incident_id: str) -> Incident | None:
        """The incident of this id."""
        ...

    def by_cause(self, cause: str) -> Incident | None:
        """The incident of this cause."""
        ...

    def unresolved(self, endpoint: str) -> list[Incident]:
        """The incidents of an endpoint that are not resolved."""
        ...

    def keep(self, incident: Incident) -> None:
        """Write an incident, new or as it is now, inside the ambient transaction."""
        ...

    def write_down(self, incident_id: str, entry: IncidentEntry, full: int | None = None) -> bool:
        """Add to a timeline; False when it tells of that event already, or has `full` entries."""
        ...


class IncidentBook:
    """Opens, adds to and resolves incidents.

    Laws:

    1. **One a cause.** The same cause again adds to the timeline of its incident, also when that is resolved.
    2. **Once.** A fact that is read again changes nothing.
    3. **Together.** A change, its entry and its fact are one transaction.
    """

    def __init__(self, *, store: BookStore, facts: Facts, clock: BusinessClock, ids: IdFactory) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._ids = ids

    def get(self, incident_id: str) -> Incident:
        """The incident of this id. Raises `NotFound`."""
        parse_id(incident_id, "incident")
        found = self._store.find(incident_id)
        if found is None:
            raise NotFound(f"there is no incident {incident_id}; 'tidegate incidents list' shows all")
        return found

    def hear(self, event: Event) -> bool:
        """Do what a fact asks for, inside the ambient transaction; False where that is nothing."""
        effect = rules.read(event)
        if isinstance(effect, Opening):
            known = self._store.by_cause(effect.cause)
            return self._open(effect, event) if known is None else self._add(known, "seen", effect.text, event)
        if isinstance(effect, Closing):
            known = self._store.by_cause(effect.cause)
            return known is not None and self._close(known, effect, event)
        if isinstance(effect, Addition):
            added = [self._add(each, effect.kind, effect.text, event) for each in self._meant(effect)]
            return any(added)
        return False

    def acknowledge(self, incident_id: str, note: str) -> Incident:
        """Somebody has seen it."""
        now = self._clock.now()
        incident = rules.acknowledge(self.get(incident_id), actor(), now)
        self._change(incident, "acknowledged", note, now)
        return incident

    def resolve(self, incident_id: str, reason: str) -> Incident:
        """Somebody says that it is over."""
        now = self._clock.now()
        incident = rules.resolve(self.get(incident_id), actor(), reason, now)
        self._change(incident, "resolved", reason, now)
        return incident

    def note(self, incident_id: str, text: str) -> Incident:
        """Somebody adds to the timeline."""
        incident = self.get(incident_id)
        self._store.write_down(incident.id, IncidentEntry(at=self._clock.now(), by=actor(), kind="note", text=text))
        return incident

    def _open(self, opening: Opening, event: Event) -> bool:
        incident = Incident(
            id=self._ids.new(self._clock.now()),
            subject=event.subject,
            endpoint=opening.endpoint,
            title=opening.title,
            severity=opening.severity,
            state="open",
            cause=opening.cause,
            what_to_do=opening.what_to_do,
            position=event.position,
            opened_at=event.time,
        )
        self._change(incident, "opened", opening.text, event.time, event)
        return True

    def _close(self, incident: Incident, closing: Closing, event: Event) -> bool:
        if incident.state == "resolved" or event.position <= incident.position:
            return self._add(incident, "seen", closing.text, event)
        over = rules.resolve(incident, None, closing.text, event.time)
        self._change(over, "resolved", closing.text, event.time, event)
        return True

    def _meant(self, addition: Addition) -> list[Incident]:
        if addition.cause is not None:
            known = self._store.by_cause(addition.cause)
            return [] if known is None else [known]
        return self._store.unresolved(addition.endpoint or "")

    def _add(self, incident: Incident, kind: EntryKind, text: str, event: Event) -> bool:
        if event.position <= incident.position:  # told before: this is the fact that opened it, or an earlier one
            return False
        entry = IncidentEntry(at=event.time, by=event.actor, kind=kind, text=text, position=event.position)
        return self._store.write_down(incident.id, entry, FULL)

    def _change(self, incident: Incident, kind: EntryKind, text: str, at: datetime, event: Event | None = None) -> None:
        """Keep an incident in its new state, with the entry and the fact of it."""
        self._store.keep(incident)
        by, position = (actor(), None) if event is None else (event.actor, event.position)
        self._store.write_down(incident.id, IncidentEntry(at=at, by=by, kind=kind, text=text, position=position))
        self._facts.append(
            f"tidegate.incidents.{kind}",
            incident.subject,
            incident=incident.id,
            cause=incident.cause,
            severity=incident.severity,
            title=incident.title,
            automatic=incident.automatic,
            reason=text,
        )
