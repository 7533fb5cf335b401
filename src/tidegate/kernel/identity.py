"""Who is calling: what every server edge asks, and what the people's room answers."""

from collections.abc import Mapping
from typing import Protocol

from tidegate.kernel.context import Call


class Authenticator(Protocol):
    """Makes a `Call` of a request's headers. Safe to use from many threads.

    Laws:

    1. Headers without `authorization`, `tidegate-time` and `tidegate-deadline` are judged in memory: the answer may
       be asked for on an event loop. With one of them it may read or write the catalog.
    2. A token alone decides who the actor is: an edge may remember the actor of a token, for at most one second.
    """

    def identify(self, headers: Mapping[str, str]) -> Call:
        """The call that these headers (names in lower case) describe.

        Raises `Unauthenticated` when nobody knows who calls, `Forbidden`, and `Invalid` for a malformed header.
        """
        ...
