"""Who is calling: what every server edge asks, and what the people's room answers."""

from collections.abc import Mapping
from typing import Protocol

from tidegate.kernel.context import Call


class Authenticator(Protocol):
    """Makes a `Call` of a request's headers. Safe to use from many threads.

    Laws:

    1. Who the actor is depends on `authorization`, `host`, `origin` and `sec-fetch-site` alone: an edge may remember
       the actor of these four, for at most one second.
    2. It may read or write the catalog: an edge calls it in a thread, or in a place that may wait.
    """

    def identify(self, headers: Mapping[str, str]) -> Call:
        """The call that these headers (names in lower case) describe.

        Raises `Unauthenticated` when nobody knows who calls, `Forbidden`, and `Invalid` for a malformed header.
        """
        ...
