"""Business time of a simulated home: kept in the catalog, shared by its processes, never going back."""

from datetime import datetime

import sqlalchemy as sa

from tidegate.kernel.clock import BusinessClock, SystemClock, business_time, from_micros, to_micros
from tidegate.kernel.errors import Conflict
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

home = table(
    "home",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("home_id", sa.String(32), nullable=False),
    sa.Column("simulated", sa.Boolean, nullable=False),
    sa.Column("business_now", Micros, nullable=False),
    room="storage",
)

_NOW = sa.select(home.c.business_now)


class SimulatedClock:
    """Stands still until it is advanced; the maximum of all that was asked for wins."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._seen: tuple[object, datetime] | None = None
        self._now = catalog.query(_NOW)
        later: sa.BindParameter[int] = sa.bindparam("later")
        self._move = catalog.prepared(home.update().where(home.c.business_now < later).values(business_now=later))

    def now(self) -> datetime:
        """The home's business time. It is read again whenever anybody has committed anything."""
        pulse = self._catalog.quick_pulse()  # before the look, so that what was seen is as new as that, or newer
        seen = self._seen
        if pulse is not None and seen is not None and seen[0] == pulse:
            return seen[1]
        [(micros,)] = self._now()
        now = from_micros(micros)
        self._seen = (pulse, now)
        return now

    def advance(self, to: datetime) -> datetime:
        """Move business time forward; an earlier instant changes nothing. Returns the time now.

        Raises `Invalid` where the instant is naive, or no business time.
        """
        target, now = business_time(to), self.now()
        if now >= target:
            return now
        micros = to_micros(target)
        moved = self._catalog.write(lambda: self._move(later=micros), durable=False)
        return target if moved else self.now()


def open_clock(catalog: Catalog, home_id: str, simulated: bool | None) -> BusinessClock:
    """The clock of this home; the first to open it decides whether it is simulated (None: not)."""
    epoch = to_micros(SystemClock().now()) if not simulated else 0

    def work() -> bool:
        with catalog.connect() as connection:
            insert = catalog.insert(home).values(id=1, home_id=home_id, simulated=bool(simulated), business_now=epoch)
            connection.execute(insert.on_conflict_do_nothing())
            return bool(connection.execute(sa.select(home.c.simulated)).scalar_one())

    with catalog.connect() as connection:
        known = connection.execute(sa.select(home.c.simulated)).scalar_one_or_none()
    kept = bool(known) if known is not None else catalog.write(work)
    if simulated is not None and simulated != kept:
        kind = "a simulated" if kept else "a real"
        raise Conflict(f"this home was created with {kind} clock; that cannot change, make another home")
    return SimulatedClock(catalog) if kept else SystemClock()
