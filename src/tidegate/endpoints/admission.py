"""Who may call an operation, asked so often that the answer is kept for a moment."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from tidegate.kernel.clock import MachineClock
from tidegate.kernel.context import Call
from tidegate.kernel.identity import Authenticator
from tidegate.kernel.ids import random_id
from tidegate.kernel.operation import Operation

MEMORY_SECONDS: Final = 1.0
"""How long a token's actor, and an actor's permission, are remembered: a revocation is in force after this time."""

MOST_REMEMBERED: Final = 4096

K = TypeVar("K")
V = TypeVar("V")

Authorise = Callable[[Operation, Call], None]
"""`Dispatcher.authorise`: raises `Forbidden` unless the call's actor has the operation's role."""


class Admission:
    """Admits calls on an event loop: the same rules as the dispatcher's, each answer kept for `MEMORY_SECONDS`.

    Only what was granted is remembered; a refusal is always asked for anew.
    """

    def __init__(self, authenticator: Authenticator, authorise: Authorise, machine: MachineClock) -> None:
        self._authenticator = authenticator
        self._authorise = authorise
        self._machine = machine
        self._actors: dict[str, tuple[str, float]] = {}
        self._granted: dict[tuple[str, str, str], float] = {}

    async def admit(self, operation: Operation, headers: Mapping[str, str]) -> Call:
        """The call, which may run the operation. Raises `Unauthenticated`, `Forbidden`, `Invalid`."""
        token = headers.get("authorization")
        call: Call | None = None
        if "tidegate-time" not in headers and "tidegate-deadline" not in headers:
            if token is None:
                call = self._authenticator.identify(headers)
            else:
                known = self._actors.get(token)
                if known is not None and self._machine.monotonic() < known[1]:
                    call = Call(actor=known[0], request_id=_request_id(headers))
        if call is not None and call.deadline is None:
            until = self._granted.get((call.actor, operation.room, operation.name))
            if until is not None and self._machine.monotonic() < until:
                return call
        return await asyncio.get_running_loop().run_in_executor(None, self._ask, operation, headers, token, call)

    def _ask(self, operation: Operation, headers: Mapping[str, str], token: str | None, call: Call | None) -> Call:
        if call is None:
            call = self._authenticator.identify(headers)
            if token is not None:
                _keep(self._actors, token, (call.actor, self._machine.monotonic() + MEMORY_SECONDS))
        self._authorise(operation, call)
        key = (call.actor, operation.room, operation.name)
        _keep(self._granted, key, self._machine.monotonic() + MEMORY_SECONDS)
        return call


def _keep(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= MOST_REMEMBERED:
        memory.clear()
    memory[key] = value


def _request_id(headers: Mapping[str, str]) -> str:
    given = headers.get("x-request-id", "")
    return given if 0 < len(given) <= 128 and given.isascii() and given.isprintable() else random_id()
