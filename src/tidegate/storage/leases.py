"""Leases: one holder at a time, each with a term, and writes of an old term refused.

Laws: (1) at most one holder believes in itself at any instant, since a holder stops at its own monotonic
deadline, counted from before its renewal was sent and shortened by a margin; (2) a write under a `Lease.fence`
of an old term is refused with `Conflict`; (3) a dead holder is replaced once its lease has run out.
"""

from collections.abc import Callable

import sqlalchemy as sa

from tidegate.kernel.clock import MachineClock
from tidegate.kernel.errors import Conflict
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import table

leases = table(
    "lease",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("term", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.Float(53), nullable=False),
    room="storage",
)

# Asked at every write of a controller, and at every tick: built once.
_THIS = sa.select(leases).where(leases.c.name == sa.bindparam("name"))
_LOCKED = _THIS.with_for_update(read=True)

MARGIN = 0.1
"""Share of the lease's length by which a holder stops early."""


class Lease:
    """A lease that this process holds, until its deadline."""

    def __init__(self, name: str, holder: str, term: int, deadline: float, machine: MachineClock) -> None:
        self.name = name
        self.holder = holder
        self.term = term
        self.deadline = deadline
        self._machine = machine

    def held(self) -> bool:
        """Whether we may still act, by our own clock, without asking anybody."""
        return self._machine.monotonic() < self.deadline

    @property
    def fence(self) -> Callable[[sa.Connection], None]:
        """For `Catalog.write(..., fence=)`: refuses the write when the lease has gone to another holder."""

        def check(connection: sa.Connection) -> None:
            # The row stays locked until this write is committed: a takeover waits for it.
            row = connection.execute(_LOCKED, {"name": self.name}).one_or_none()
            term = None if row is None else row.term
            if term != self.term:
                raise Conflict(
                    f"the lease {self.name!r} of term {self.term} has passed to another holder (term {term}); "
                    "this write was refused"
                )
            if not self.held():
                raise Conflict(f"the lease {self.name!r} of term {self.term} ran out; this write was refused")

        return check


class Leases:
    """Takes and renews leases in the catalog."""

    def __init__(self, catalog: Catalog, machine: MachineClock) -> None:
        self._catalog = catalog
        self._machine = machine

    def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """The lease, new or renewed, or None while another holder has it."""
        asked = self._machine.monotonic()

        def work() -> int | None:
            with self._catalog.connect() as connection:
                self._catalog.serialise()
                now = self._catalog.seconds()
                row = connection.execute(_THIS, {"name": name}).one_or_none()
                if row is None:
                    connection.execute(leases.insert().values(name=name, holder=holder, term=1, expires=now + seconds))
                    return 1
                same = row.holder == holder
                # A reboot resets the monotonic clock of an embedded home: a lease far in the future is dead.
                if not same and now < row.expires <= now + 10 * seconds:
                    return None
                term: int = row.term if same and now < row.expires else row.term + 1
                connection.execute(
                    leases.update().where(leases.c.name == name).values(holder=holder, term=term, expires=now + seconds)
                )
                return term

        term = self._catalog.write(work, durable=False)
        if term is None:
            return None
        return Lease(name, holder, term, asked + seconds * (1 - MARGIN), self._machine)

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold the lease for longer, from now; False when it is lost. Its deadline moves only when that is certain."""
        asked = self._machine.monotonic()

        def work() -> bool:
            with self._catalog.connect() as connection:
                now = self._catalog.seconds()
                kept = leases.update().where(
                    leases.c.name == lease.name,
                    leases.c.holder == lease.holder,
                    leases.c.term == lease.term,
                    leases.c.expires > now,
                )
                return connection.execute(kept.values(expires=now + seconds)).rowcount == 1

        held = self._catalog.write(work, durable=False)
        if held:
            lease.deadline = asked + seconds * (1 - MARGIN)
        return held

    def release(self, lease: Lease) -> None:
        """Give the lease back early; harmless when it was lost already. We stop believing in it first."""
        lease.deadline = float("-inf")

        def work() -> None:
            with self._catalog.connect() as connection:
                connection.execute(
                    leases.update().where(leases.c.name == lease.name, leases.c.term == lease.term).values(expires=0.0)
                )

        self._catalog.write(work, durable=False)
