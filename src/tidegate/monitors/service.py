"""The operations of monitors."""

from typing import Protocol

from tidegate.events.records import Facts
from tidegate.kernel.clock import Instant, to_micros
from tidegate.kernel.names import check_name
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.monitors.records import EndpointQuality, QualityWindow, StoredWindow
from tidegate.monitors.rules import check_seconds


class MonitorStore(Protocol):
    """What the operations ask of the catalog."""

    def windows(
        self, endpoint: str, since: int | None, limit: int, before: tuple[int, int, str, int, str] | None
    ) -> list[StoredWindow]:
        """Windows that end after `since` (microseconds), newest first, from the one after the key `before`."""
        ...

    def latest(self, endpoint: str) -> EndpointQuality:
        """How an endpoint stands."""
        ...

    def set_seconds(self, endpoint: str, seconds: int) -> None:
        """Give an endpoint a window length of its own."""
        ...


class Monitors(Service):
    """What predictions were worth, window by window, once their labels arrived."""

    room = "monitors"

    def __init__(self, *, store: MonitorStore, facts: Facts) -> None:
        self._store = store
        self._facts = facts

    @operation("GET /monitors/{endpoint}/windows", role="viewer", audit="none")
    def windows(
        self, endpoint: str, *, since: Instant | None = None, limit: int = 100, cursor: str = ""
    ) -> Page[QualityWindow]:
        """List the windows of an endpoint, newest first, one for each model version and variant that answered in it.

        `since`: only those that end after it.
        """
        before = decode_cursor(cursor, (int, int, str, int, str))
        after = None if since is None else to_micros(since)
        found = self._store.windows(check_name(endpoint, "endpoint"), after, page_size(limit) + 1, before)
        more = None
        if len(found) > limit:
            last = found[limit - 1].key
            more = encode_cursor(last.start, last.seconds, last.model, last.number, last.variant)
        return Page([stored.window for stored in found[:limit]], more)

    @operation("GET /monitors/{endpoint}", role="viewer", audit="none")
    def latest(self, endpoint: str) -> EndpointQuality:
        """Show how an endpoint stands: its newest window, the newest with labels, and labels that fit no prediction."""
        return self._store.latest(check_name(endpoint, "endpoint"))

    @operation("PUT /monitors/{endpoint}/window", role="maintainer", audit="change")
    def set_window(self, endpoint: str, *, seconds: int) -> EndpointQuality:
        """Choose how long the windows of an endpoint are, from a minute to 366 days; a day unless chosen.

        Windows begin at multiples of their length since 1970-01-01 UTC. Earlier windows are computed anew.
        """
        name = check_name(endpoint, "endpoint")
        self._store.set_seconds(name, check_seconds(seconds))
        self._facts.append("tidegate.monitors.window_set", name, seconds=seconds)
        return self._store.latest(name)
