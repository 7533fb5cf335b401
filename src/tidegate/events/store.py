"""The append-only table of events, and how far each consumer has read."""

import msgspec
import sqlalchemy as sa

from tidegate.events.records import Event
from tidegate.kernel.clock import BusinessClock, from_micros, to_micros
from tidegate.kernel.context import actor
from tidegate.kernel.ids import IdFactory
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import HOLDS_NONE, AutoKey, Micros, table

events = table(
    "event",
    sa.Column("position", AutoKey, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False),
    sa.Column("type", sa.String(128), nullable=False, index=True),
    sa.Column("subject", sa.String(512), nullable=False, index=True),
    sa.Column("time", Micros, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False, info=HOLDS_NONE),
    room="events",
)

cursors = table(
    "event_cursor",
    sa.Column("consumer", sa.String(128), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    room="events",
)


# Asked at every step of every consumer, so built once.
_AFTER = (
    sa.select(events)
    .where(events.c.position > sa.bindparam("read"))
    .order_by(events.c.position)
    .limit(sa.bindparam("limit"))
)
_CURSOR = sa.select(cursors.c.position).where(cursors.c.consumer == sa.bindparam("consumer"))


class EventLog:
    """Appends facts within the transaction that makes them true; reads them in the order of commits."""

    def __init__(self, catalog: Catalog, clock: BusinessClock, ids: IdFactory) -> None:
        self._catalog = catalog
        self._clock = clock
        self._ids = ids
        self._append = catalog.prepared(events.insert())

    def append(self, type_: str, subject: str, **data: object) -> None:
        """Add one fact, inside the ambient transaction."""
        self._catalog.serialise()
        now = self._clock.now()
        self._append.soon(
            id=self._ids.new(now),
            type=type_,
            subject=subject,
            time=to_micros(now),
            actor=actor(),
            data=msgspec.json.encode(data),
        )

    def after(self, position: int, limit: int = 500, type_prefix: str = "") -> list[Event]:
        """Events after a position, in order."""
        query = _AFTER
        if type_prefix:
            query = query.where(events.c.type.startswith(type_prefix, autoescape=True))
        with self._catalog.connect() as connection:
            return [_event(row) for row in connection.execute(query, {"read": position, "limit": limit})]

    def last_position(self) -> int:
        """The position of the newest event, 0 where there is none."""
        with self._catalog.connect() as connection:
            return connection.execute(sa.select(sa.func.max(events.c.position))).scalar_one() or 0

    def cursor(self, consumer: str) -> int:
        """How far a consumer has read."""
        with self._catalog.connect() as connection:
            return connection.execute(_CURSOR, {"consumer": consumer}).scalar_one_or_none() or 0

    def advance(self, consumer: str, position: int) -> None:
        """Note how far a consumer has read, inside the ambient transaction; never backwards."""
        insert = self._catalog.insert(cursors).values(consumer=consumer, position=position)
        upsert = insert.on_conflict_do_update(
            index_elements=[cursors.c.consumer],
            set_={"position": position},
            where=cursors.c.position < position,
        )
        with self._catalog.connect() as connection:
            connection.execute(upsert)


def _event(row: sa.Row[tuple[object, ...]]) -> Event:
    fields = dict(row._mapping)
    fields["time"] = from_micros(fields["time"])
    fields["data"] = msgspec.json.decode(fields["data"])
    return Event(**fields)
