"""The journal's rows in the catalog: sealed segments, the head of their chain, and writer numbers."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tidegate.kernel.clock import BusinessClock, from_micros, to_micros
from tidegate.kernel.ids import WRITERS
from tidegate.storage.catalog import Catalog, PreparedQuery
from tidegate.storage.journal.chain import link_hash
from tidegate.storage.journal.records import GENESIS, ChainHead, SealedPart, SealedSegment
from tidegate.storage.schema import AutoKey, Micros, table

segments = table(
    "journal_segment",
    sa.Column("sequence", AutoKey, primary_key=True, autoincrement=False),
    sa.Column("segment", sa.String(32), nullable=False),
    sa.Column("topic", sa.String(128), nullable=False),
    sa.Column("writer", sa.Integer, nullable=False),
    sa.Column("opened_at", Micros, nullable=False),
    sa.Column("sealed_at", Micros, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("first_number", sa.BigInteger, nullable=False),
    sa.Column("last_number", sa.BigInteger, nullable=False),
    sa.Column("first_time", Micros),
    sa.Column("last_time", Micros),
    sa.Column("first_id", sa.String(128)),
    sa.Column("last_id", sa.String(128)),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.UniqueConstraint("segment", "topic"),
    sa.Index(None, "topic", "writer", "first_id"),
    sa.Index(None, "topic", "last_time"),
    room="storage",
)

chain_head = table(
    "journal_head",
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    room="storage",
)

writers = table(
    "journal_writer",
    sa.Column("allocation", AutoKey, primary_key=True),
    sa.Column("holder", sa.String(256), nullable=False),
    sa.Column("allocated_at", Micros, nullable=False),
    room="storage",
)

_HEAD_ID = 1
_TIMES = ("opened_at", "sealed_at", "first_time", "last_time")
_BATCH = 500
_HEAD = sa.select(chain_head).where(chain_head.c.id == _HEAD_ID)


def _given(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name)


_LISTED = sa.select(segments).where(segments.c.sequence > _given("after")).order_by(segments.c.sequence)
_BOUNDS: dict[str, sa.ColumnElement[bool]] = {
    "topic": segments.c.topic == _given("topic"),
    "writer": segments.c.writer == _given("writer"),
    "holding": sa.and_(segments.c.first_id <= _given("holding"), segments.c.last_id >= _given("holding")),
    "since": sa.or_(segments.c.last_time >= _given("since"), segments.c.last_time.is_(None)),
    "until": sa.or_(segments.c.first_time < _given("until"), segments.c.first_time.is_(None)),
}


class CatalogSegmentIndex:
    """The `SegmentIndex` of a catalog."""

    def __init__(self, catalog: Catalog, clock: BusinessClock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._head = catalog.query(_HEAD)
        self._lists: dict[tuple[str, ...], PreparedQuery] = {}  # one for each set of bounds that was asked for

    def add(self, parts: Sequence[SealedPart]) -> tuple[SealedSegment, ...]:
        """Link all parts of one segment into the chain, in one transaction; what is there already stays as it is."""
        return self._catalog.write(lambda: self._link(parts))

    def parts_of(self, segments_: Collection[str]) -> list[SealedSegment]:
        """The rows of the segments among these that are sealed."""
        wanted = list(segments_)
        found: list[SealedSegment] = []
        with self._catalog.connect() as connection:
            for at in range(0, len(wanted), _BATCH):
                among = segments.c.segment.in_(wanted[at : at + _BATCH])
                found += _read(connection.execute(sa.select(segments).where(among).order_by(segments.c.sequence)))
        return found

    def list(
        self,
        topic: str | None = None,
        *,
        writer: int | None = None,
        holding: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[SealedSegment]:
        """Rows in the order of the chain, from the one after sequence number `after`."""
        bounds: dict[str, Any] = {
            "topic": topic,
            "writer": writer,
            "holding": holding,
            "since": None if since is None else to_micros(since),
            "until": None if until is None else to_micros(until),
            "limit": limit,
        }
        given = {name: value for name, value in bounds.items() if value is not None}
        query = self._lists.get(tuple(given))
        if query is None:
            statement = _LISTED.where(*(_BOUNDS[name] for name in given if name != "limit"))
            statement = statement if limit is None else statement.limit(_given("limit"))
            query = self._lists[tuple(given)] = self._catalog.query(statement)
        return _read(query(after=after, **given))

    def head(self) -> ChainHead:
        """The last link."""
        rows = self._head()
        return ChainHead(rows[0].sequence, rows[0].hash) if rows else ChainHead(0, GENESIS)

    def allocate_writer(self, holder: str = "") -> int:
        """A number for a new writer, 1 to 65,535; `holder` says to people who that is."""

        def work() -> int:
            row = {"holder": holder[:256], "allocated_at": to_micros(self._clock.now())}
            with self._catalog.connect() as connection:
                key = connection.execute(sa.insert(writers).values(row)).inserted_primary_key
            assert key is not None  # noqa: S101 - an insert of one row has a key
            return 1 + (int(key[0]) - 1) % (WRITERS - 1)

        return self._catalog.write(work)

    def _link(self, parts: Sequence[SealedPart]) -> tuple[SealedSegment, ...]:
        self._catalog.serialise()
        present = self.parts_of({part.segment for part in parts})
        if present:
            return tuple(present)
        head = self.head()
        linked: list[SealedSegment] = []
        for part in parts:
            sequence = head.sequence + 1
            link = link_hash(head.hash, sequence, part)
            fields = {name: getattr(part, name) for name in SealedPart.__struct_fields__}
            linked.append(SealedSegment(**fields, sequence=sequence, previous_hash=head.hash, hash=link))
            head = ChainHead(sequence, link)
        if linked:
            with self._catalog.connect() as connection:
                connection.execute(sa.insert(segments), [_row(segment) for segment in linked])
                moved = {"sequence": head.sequence, "hash": head.hash}
                insert = self._catalog.insert(chain_head).values(id=_HEAD_ID, **moved)
                connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=moved))
        return tuple(linked)


def _row(segment: SealedSegment) -> dict[str, Any]:
    values = {name: getattr(segment, name) for name in SealedSegment.__struct_fields__}
    for name in _TIMES:
        values[name] = None if values[name] is None else to_micros(values[name])
    return values


def _read(rows: Iterable[Any]) -> list[SealedSegment]:
    found = []
    for row in rows:
        values = row._asdict()
        for name in _TIMES:
            values[name] = None if values[name] is None else from_micros(values[name])
        found.append(SealedSegment(**values))
    return found
