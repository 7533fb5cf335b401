"""Objects that something let go of, and whether anything else holds them still.

No count of references is kept: they are counted when it is asked for. A table says by its columns what it holds: text
of 64 characters is taken for an object's digest, and any digest within binary columns, which hold records as JSON or
msgpack, counts too. So what a room forgets to say is kept rather than swept; a column that only looks like it says
`schema.HOLDS_NONE`.
"""

import re
from collections.abc import Collection, Iterator

import sqlalchemy as sa

from tidegate.kernel.clock import MachineClock, to_micros
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import HOLDS_NONE, Micros, metadata, table

released = table(
    "released_object",
    sa.Column("digest", sa.String(64), primary_key=True, info=HOLDS_NONE),
    sa.Column("due", Micros, nullable=False, index=True),  # in machine time: when it is worth a look
    room="storage",
)

_DIGEST = re.compile(rb"(?=([0-9a-f]{64}))")
_ROWS = 500


class Claims:
    """Holds objects that are perhaps released, or are being so, inside the transaction that refers to them.

    For whoever refers to objects that were put long ago. Ask after it, not before, whether they are there.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._note = catalog.prepared(catalog.insert(released).on_conflict_do_nothing())
        self._drop = catalog.prepared(released.delete().where(released.c.digest == sa.bindparam("which")))
        self._alone = catalog.dialect == "sqlite"  # one transaction writes at a time

    def hold(self, digests: Collection[str]) -> None:
        """Claim them."""
        for digest in sorted(set(digests)):
            if not self._alone:  # who releases it meanwhile finds our row, waits for us, and is then too late
                self._note(digest=digest, due=0)
            self._drop(which=digest)


class Released:
    """The released objects of a home."""

    def __init__(self, catalog: Catalog, machine: MachineClock) -> None:
        self._catalog = catalog
        self._machine = machine

    def add(self, digests: Collection[str]) -> None:
        """Note that something let go of objects, inside the transaction in which it did."""
        self.put_off(digests, 0.0)

    def put_off(self, digests: Collection[str], seconds: float) -> None:
        """Look at objects again after so many seconds."""
        due = to_micros(self._machine.wall()) + int(seconds * 1e6)
        rows = [{"digest": digest, "due": due} for digest in sorted(set(digests))]
        if rows:
            insert = self._catalog.insert(released)
            upsert = insert.on_conflict_do_update(index_elements=[released.c.digest], set_={"due": insert.excluded.due})
            with self._catalog.connect() as connection:
                connection.execute(upsert, rows)

    def due(self, limit: int) -> dict[str, int]:
        """Objects that are worth a look now, each with the moment since which it is."""
        query = sa.select(released).where(released.c.due <= to_micros(self._machine.wall()))
        with self._catalog.connect() as connection:
            rows = connection.execute(query.order_by(released.c.due, released.c.digest).limit(limit)).all()
        return {row.digest: row.due for row in rows}

    def take(self, digest: str, due: int) -> bool:
        """Whether it was still released, and not anew. Nobody claims it from here until the transaction ends."""
        own = sa.and_(released.c.digest == digest, released.c.due == due)
        with self._catalog.connect() as connection:
            return connection.execute(released.delete().where(own)).rowcount > 0

    def held(self, digests: Collection[str]) -> set[str]:
        """Those of some objects to which any row of any table refers."""
        asked, found = set(digests), set[str]()
        with self._catalog.connect() as connection:
            for column in holding_columns():
                if not asked - found:
                    break
                if isinstance(column.type, sa.LargeBinary):
                    found |= asked.intersection(_within(connection, column))
                else:
                    query = sa.select(column).where(column.in_(sorted(asked - found))).distinct()
                    found.update(str(each) for each in connection.execute(query).scalars())
        return found


def holding_columns() -> Iterator[sa.Column[str] | sa.Column[bytes]]:
    """Every column whose values may refer to objects."""
    for each in metadata.sorted_tables:
        for column in each.columns:
            named = isinstance(column.type, sa.String) and column.type.length == 64
            if (named or isinstance(column.type, sa.LargeBinary)) and column.info.get("holds_objects", True):
                yield column


def _within(connection: sa.Connection, column: sa.Column[bytes]) -> Iterator[str]:
    query = sa.select(column).where(column.is_not(None)).execution_options(yield_per=_ROWS)
    for blob in connection.execute(query).scalars():
        yield from (match.decode() for match in _DIGEST.findall(bytes(blob)))
