"""Who may call an operation, asked so often that the answer is kept for a moment."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from tidegate.kernel.clock import MachineClock
from tidegate.kernel.context import Call
from tidegate.kernel.identity import Authenticator
from tidegate.kernel.operation import Operation

MEMORY_SECONDS: Final = 1.0
"""How long a request's actor, and an actor's permission, are remembered: a revocation is in force after this time."""

MOST_REMEMBERED: Final = 4096

K = TypeVar("K")
V = TypeVar("V")

Identity = tuple[str | None, str | None, str | None, str | None]
"""The headers that say who calls: `authorization`, `host`, `origin`, `sec-fetch-site`."""

Authorise = Callable[[Operation, Call], None]
"""`Dispatcher.authorise`: raises `Forbidden` unless the call's actor has the operation's role."""


class Admission:
    """Admits requests on an event loop: the same rules as the dispatcher's, each answer kept for `MEMORY_SECONDS`.

    Only what was granted is remembered; a refusal is always asked for anew.
    """

    def __init__(self, authenticator: Authenticator, authorise: Authorise, machine: MachineClock) -> None:
        self._authenticator = authenticator
        self._authorise = authorise
        self._now = machine.monotonic
        self._actors: dict[Identity, tuple[str, float]] = {}
        self._granted: dict[tuple[str, Operation], float] = {}

    async def admit(self, operation: Operation, headers: Mapping[str, str]) -> str:
        """The actor, who may run the operation. Raises `Unauthenticated`, `Forbidden`, `Invalid`."""
        get = headers.get
        identity = (get("authorization"), get("host"), get("origin"), get("sec-fetch-site"))
        if "tidegate-time" not in headers and "tidegate-deadline" not in headers:
            known = self._actors.get(identity)
            if known is not None and (now := self._now()) < known[1]:
                until = self._granted.get((known[0], operation))
                if until is not None and now < until:
                    return known[0]
        return await asyncio.get_running_loop().run_in_executor(None, self._ask, operation, headers, identity)

    def _ask(self, operation: Operation, headers: Mapping[str, str], identity: Identity) -> str:
        call = self._authenticator.identify(headers)
        until = self._now() + MEMORY_SECONDS
        _keep(self._actors, identity, (call.actor, until))
        self._authorise(operation, call)
        _keep(self._granted, (call.actor, operation), until)
        return call.actor


def _keep(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= MOST_REMEMBERED:
        memory.clear()
    memory[key] = value
