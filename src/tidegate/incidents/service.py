"""The operations of incidents."""

from typing import Protocol

import msgspec

from tidegate.incidents.book import BookStore, IncidentBook
from tidegate.incidents.records import Incident, IncidentEntry, IncidentState, IncidentStory
from tidegate.incidents.rules import check_text
from tidegate.kernel.names import check_name
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size


class IncidentStore(BookStore, Protocol):
    """What the operations ask of the catalog."""

    def page(self, state: str, endpoint: str, before: str, limit: int) -> list[Incident]:
        """Incidents, the newest first: in a state and of an endpoint where one is given, with a smaller id."""
        ...

    def timeline(self, incident_id: str) -> tuple[IncidentEntry, ...]:
        """The entries of an incident, the oldest first."""
        ...


class Incidents(Service):
    """What a person ought to look at: opened by what happened, acknowledged, resolved."""

    room = "incidents"

    def __init__(self, *, store: IncidentStore, book: IncidentBook) -> None:
        self._store = store
        self._book = book

    @operation("GET /incidents", role="viewer", audit="none")
    def list(
        self,
        *,
        state: IncidentState | None = None,
        endpoint: str | None = None,
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Incident]:
        """List incidents, the newest first; in one state, or of one endpoint, where that is given."""
        (before,) = decode_cursor(cursor, (str,)) or ("",)
        of = "" if endpoint is None else check_name(endpoint, "endpoint")
        found = self._store.page(state or "", of, before, page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)

    @operation("GET /incidents/{incident_id}", role="viewer", audit="none")
    def get(self, incident_id: str) -> IncidentStory:
        """One incident: what it is, what to do, and its timeline."""
        return self._story(self._book.get(incident_id))

    @operation("POST /incidents/{incident_id}/acknowledgement", role="contributor", audit="change")
    def acknowledge(self, incident_id: str, *, note: str = "") -> IncidentStory:
        """Say that you have seen an incident and look after it.

        Raises `Conflict` unless it is open.
        """
        said = check_text(note, "note") if note else "seen"
        return self._story(self._store.write(lambda: self._book.acknowledge(incident_id, said)))

    @operation("POST /incidents/{incident_id}/resolution", role="contributor", audit="change")
    def resolve(self, incident_id: str, *, reason: str) -> IncidentStory:
        """Say that an incident is over, and why.

        Raises `Conflict` when it is resolved already.
        """
        check_text(reason, "reason")
        return self._story(self._store.write(lambda: self._book.resolve(incident_id, reason)))

    @operation("POST /incidents/{incident_id}/notes", role="contributor", audit="change")
    def note(self, incident_id: str, *, text: str) -> IncidentStory:
        """Add a note to the timeline of an incident, also of one that is resolved."""
        check_text(text, "text")
        return self._story(self._store.write(lambda: self._book.note(incident_id, text)))

    def _story(self, incident: Incident) -> IncidentStory:
        timeline = self._store.timeline(incident.id)
        return IncidentStory(**msgspec.structs.asdict(incident), timeline=timeline)
