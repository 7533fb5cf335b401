"""What happens when in the demo: the stretch that is replayed, and the days on which something is done to it."""

from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.demo.flights import midnight

AUTHOR, APPROVER, HEAD = "local", "reviewer", "head"
"""Who makes the models, who approves them, and the admin who overrides a gate."""


class Plan(NamedTuple):
    """The days of one demo. Every flight of every day is replayed."""

    since: datetime
    until: datetime
    schedule: tuple[tuple[datetime, float], ...]
    """From each of these moments on, the policy trains anew so many days after the last time."""
    budget: int
    """The policy trains anew so often at most."""
    kills: tuple[datetime, datetime]
    """The serving process is killed in the first hour after the first moment, the whole server after the second."""
    leaky: datetime
    """The day on which somebody lets a leaky model out, or the first one after it on which no canary is out."""
    broken: tuple[datetime, datetime]
    """From when until when the weather feed tells visibility in kilometres."""

    @property
    def days(self) -> int:
        """Days that are replayed."""
        return (self.until - self.since) // timedelta(days=1)


FULL = Plan(
    since=midnight(2013, 4, 1),
    until=midnight(2014, 1, 1),
    schedule=((midnight(2013, 4, 1), 24), (midnight(2013, 5, 15), 60)),
    budget=4,
    kills=(midnight(2013, 4, 10) + timedelta(hours=18), midnight(2013, 4, 30) + timedelta(hours=21)),
    leaky=midnight(2013, 7, 8),
    broken=(midnight(2013, 9, 20), midnight(2013, 10, 14)),
)
"""April to December."""

FAST = Plan(
    since=midnight(2013, 4, 1),
    until=midnight(2013, 5, 28),
    schedule=((midnight(2013, 4, 1), 24),),
    budget=1,
    kills=(midnight(2013, 4, 10) + timedelta(hours=18), midnight(2013, 4, 30) + timedelta(hours=21)),
    leaky=midnight(2013, 5, 8),
    broken=(midnight(2013, 5, 14), midnight(2013, 5, 22)),
)
"""A shorter stretch, with as many rows a day."""
