"""The tables of incidents: a row an incident, and a row an entry of its timeline."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from tidegate.incidents.records import Incident, IncidentEntry
from tidegate.kernel import wire
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import table

T = TypeVar("T")

incidents = table(
    "incident",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("cause", sa.String(256), nullable=False, unique=True),
    sa.Column("endpoint", sa.String(128), nullable=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("incident", sa.LargeBinary, nullable=False),
    sa.Index(None, "endpoint", "id"),
    sa.Index(None, "state", "id"),
    room="incidents",
)

entries = table(
    "incident_entry",
    sa.Column("incident", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, nullable=True),
    sa.Column("entry", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("incident", "position"),
    room="incidents",
)


class SqlIncidents:
    """Incidents in the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def write(self, work: Callable[[], T], fence: Callable[[Any], None] | None = None) -> T:
        """Run a function inside one write transaction, which no other one that changes incidents overlaps."""

        def alone() -> T:
            self._catalog.serialise()
            return work()

        return self._catalog.write(alone, fence=fence)

    def find(self, incident_id: str) -> Incident | None:
        """The incident of this id."""
        found = self._incidents(sa.select(incidents.c.incident).where(incidents.c.id == incident_id))
        return found[0] if found else None

    def by_cause(self, cause: str) -> Incident | None:
        """The incident of this cause."""
        found = self._incidents(sa.select(incidents.c.incident).where(incidents.c.cause == cause))
        return found[0] if found else None

    def unresolved(self, endpoint: str) -> list[Incident]:
        """The incidents of an endpoint that are not resolved, the oldest first."""
        query = sa.select(incidents.c.incident).where(incidents.c.endpoint == endpoint)
        return self._incidents(query.where(incidents.c.state != "resolved").order_by(incidents.c.id))

    def page(self, state: str, endpoint: str, before: str, limit: int) -> list[Incident]:
        """Incidents, the newest first: in a state and of an endpoint where one is given, with a smaller id."""
        query = sa.select(incidents.c.incident).order_by(incidents.c.id.desc()).limit(limit)
        for column, value in ((incidents.c.state, state), (incidents.c.endpoint, endpoint)):
            if value:
                query = query.where(column == value)
        return self._incidents(query.where(incidents.c.id < before) if before else query)

    def keep(self, incident: Incident) -> None:
        """Write an incident, new or as it is now, inside the ambient transaction."""
        changed = {"state": incident.state, "incident": wire.encode(incident, Incident)}
        insert = self._catalog.insert(incidents).values(
            id=incident.id, cause=incident.cause, endpoint=incident.endpoint, **changed
        )
        with self._catalog.connect() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=[incidents.c.id], set_=changed))

    def write_down(self, incident_id: str, entry: IncidentEntry, full: int | None = None) -> bool:
        """Add to a timeline; False when it tells of that event already, or has `full` entries."""
        with self._catalog.connect() as connection:
            last = sa.select(sa.func.max(entries.c.number)).where(entries.c.incident == incident_id)
            number = (connection.execute(last).scalar() or 0) + 1
            if full is not None and number > full:
                return False
            insert = self._catalog.insert(entries).values(
                incident=incident_id, number=number, position=entry.position, entry=msgspec.json.encode(entry)
            )
            done = connection.execute(insert.on_conflict_do_nothing(index_elements=["incident", "position"]))
            written: bool = done.rowcount == 1
            return written

    def timeline(self, incident_id: str) -> tuple[IncidentEntry, ...]:
        """The entries of an incident, the oldest first."""
        query = sa.select(entries.c.entry).where(entries.c.incident == incident_id).order_by(entries.c.number)
        with self._catalog.connect() as connection:
            return tuple(wire.decode(raw, IncidentEntry, "entry") for raw in connection.execute(query).scalars())

    def _incidents(self, query: sa.Select[Any]) -> list[Incident]:
        with self._catalog.connect() as connection:
            return [wire.decode(raw, Incident, "row of the catalog") for raw in connection.execute(query).scalars()]
