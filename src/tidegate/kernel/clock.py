"""The two clocks: business time, which may be simulated, and machine time, which never is.

Business time (`BusinessClock.now`) dates windows, labels, schedules and ids. Machine time
(`MachineClock.monotonic`) measures leases, timeouts, tokens and rate limits.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Protocol

import msgspec

from tidegate.kernel.errors import Invalid

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time. Always aware; stored as integer microseconds UTC."""

EARLIEST: Final = datetime(1000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Business time lies between these, so that what is reckoned from it (windows, terms, schedules) is a date, too."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class BusinessClock(Protocol):
    """Time as the business sees it."""

    def now(self) -> datetime:
        """The present, aware, UTC."""
        ...


class MachineClock(Protocol):
    """Time as the machine measures it; never simulated."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def wall(self) -> datetime:
        """The machine's own date, for sessions, tokens and log lines."""
        ...


class SystemClock:
    """Both clocks of an ordinary home."""

    def now(self) -> datetime:
        """The present, aware, UTC."""
        return datetime.now(UTC)

    def wall(self) -> datetime:
        """The machine's own date."""
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)
    """Seconds from an arbitrary start."""


def utc(instant: datetime, what: str = "instant") -> datetime:
    """The instant in UTC. Raises `Invalid` when it is naive."""
    if instant.tzinfo is UTC:
        return instant
    if instant.tzinfo is None:
        raise Invalid(
            f"{what} {instant.isoformat()} has no time zone; give an aware datetime, for example in UTC", field=what
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise Invalid(f"{what} {instant.isoformat()} lies outside the years 1 to 9999 in UTC", field=what) from error


def business_time(instant: datetime, what: str = "instant") -> datetime:
    """The instant in UTC. Raises `Invalid` when it is naive, or before `EARLIEST` or after `LATEST`."""
    found = utc(instant, what)
    if not EARLIEST <= found <= LATEST:
        raise Invalid(
            f"{what} {instant.isoformat()} is no business time: it lies outside the years {EARLIEST.year} to "
            f"{LATEST.year}",
            field=what,
        )
    return found


def to_micros(instant: datetime, what: str = "instant") -> int:
    """Microseconds since 1970-01-01 UTC, exactly. Raises `Invalid`, naming `what`, for an instant that has no such."""
    return (utc(instant, what) - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC instant of `to_micros`."""
    return _EPOCH + timedelta(0, 0, micros)


def parse_instant(text: str, what: str = "instant") -> datetime:
    """An instant from ISO 8601 text, which must carry a time zone. Raises `Invalid`."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{what} {text!r} is not an ISO 8601 instant; write 2013-10-01T00:00:00Z") from error
    return utc(parsed, what)
