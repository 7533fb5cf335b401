"""The audit chain: who did what, each row sealed by the hash of all before it.

Laws: (1) a row stands in the transaction of what it tells of; (2) `verify` finds any row that was changed,
removed, inserted or moved; (3) rows are in the order of their commits. Leaves are SHA-256, so that they can
be checked without us: ``hash = sha256(previous || canonical JSON of the row without its hash)``.
"""

import hashlib
from datetime import datetime

import msgspec
import sqlalchemy as sa

from tidegate.kernel.clock import BusinessClock, Instant, from_micros, to_micros
from tidegate.kernel.dispatch import Journalled
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import HOLDS_NONE, AutoKey, Micros, table

audit = table(
    "audit",
    sa.Column("position", AutoKey, primary_key=True, autoincrement=True),
    sa.Column("at", Micros, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False, index=True),
    sa.Column("operation", sa.String(128), nullable=False),
    sa.Column("subject", sa.String(512), nullable=False, index=True),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False, info=HOLDS_NONE),
    sa.Column("request_digest", sa.String(64), nullable=False, info=HOLDS_NONE),
    sa.Column("previous", sa.String(64), nullable=False, info=HOLDS_NONE),
    sa.Column("hash", sa.String(64), nullable=False, info=HOLDS_NONE),
    room="storage",
)

heads = table(
    "audit_head",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, info=HOLDS_NONE),
    room="storage",
)
"""How long the chain is and how it ends: without it, nobody would miss rows removed from the end."""

GENESIS = "0" * 64


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the chain."""

    position: int
    at: Instant
    actor: str
    operation: str
    subject: str
    outcome: str
    detail: str
    request_id: str
    request_digest: str
    previous: str
    hash: str


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a verification: how many rows held, and the first that does not."""

    rows: int
    intact: bool
    broken_at: int | None = None
    head: str = GENESIS


class AuditChain:
    """Appends to and reads the chain."""

    def __init__(self, catalog: Catalog, clock: BusinessClock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._append = catalog.prepared(audit.insert())
        self._ends = catalog.query(sa.select(heads))
        self._first = catalog.prepared(heads.insert().values(id=1))
        self._next = catalog.prepared(heads.update().where(heads.c.id == 1))

    def append(self, entry: Journalled) -> None:
        """Add one row, inside the ambient transaction."""
        self._catalog.serialise()
        at = self._clock.now()
        rows, previous = self._head()
        sealed = _hash(previous, to_micros(at), entry)
        self._append.soon(at=to_micros(at), previous=previous, hash=sealed, **msgspec.structs.asdict(entry))
        move = self._next if rows else self._first
        move.soon(rows=rows + 1, hash=sealed)

    def rows(self, after: int = 0, limit: int = 1000, subject: str | None = None) -> list[AuditRow]:
        """Rows in order, after a position."""
        query = sa.select(audit).where(audit.c.position > after).order_by(audit.c.position).limit(limit)
        if subject is not None:
            query = query.where(audit.c.subject == subject)
        with self._catalog.connect() as connection:
            return [_row(row) for row in connection.execute(query)]

    def verify(self) -> ChainReport:
        """Recompute every hash from the beginning."""
        previous, count, position = GENESIS, 0, 0
        while True:
            head = self._head()  # before the rows, so that it counts none that they lack
            batch = self.rows(position)
            for row in batch:
                entry = Journalled(
                    actor=row.actor,
                    operation=row.operation,
                    subject=row.subject,
                    outcome=row.outcome,
                    request_id=row.request_id,
                    request_digest=row.request_digest,
                    detail=row.detail,
                )
                if row.previous != previous or row.hash != _hash(previous, to_micros(row.at), entry):
                    return ChainReport(rows=count, intact=False, broken_at=row.position, head=previous)
                previous, count, position = row.hash, count + 1, row.position
            if not batch:
                whole = head == (count, previous)
                return ChainReport(rows=count, intact=whole, broken_at=None if whole else position + 1, head=previous)

    def _head(self) -> tuple[int, str]:
        found = self._ends()
        return (found[0].rows, found[0].hash) if found else (0, GENESIS)


def _hash(previous: str, at: int, entry: Journalled) -> str:
    leaf = msgspec.json.encode({"at": at, **msgspec.structs.asdict(entry)}, order="sorted")
    return hashlib.sha256(bytes.fromhex(previous) + leaf).hexdigest()


def _row(row: sa.Row[tuple[object, ...]]) -> AuditRow:
    fields = dict(row._mapping)
    at: datetime = from_micros(fields.pop("at"))
    return AuditRow(at=at, **fields)
