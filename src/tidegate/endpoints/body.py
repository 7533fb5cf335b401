"""The body of a request, read as a whole before anything is done with it, up to a limit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from tidegate.kernel.errors import Invalid

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOADS: Final = 16
"""So many objects are received at once: each holds a thread until it is whole, and others are needed elsewhere."""

AT_ONCE: Final = 1 << 20
"""So many bytes of an object are handed to its thread at once, if they are there."""

STALL_SECONDS = 30.0
"""How long the next bytes of an object may be waited for."""

T = TypeVar("T")

BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive, once it has begun."""


class TooLarge(Invalid):
    """The body is larger than the server reads."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit:,} bytes; send less at a time", limit=limit)


class UnsupportedMedia(Invalid):
    """The body is of another content type than JSON."""

    status = 415

    def __init__(self, kind: str) -> None:
        super().__init__(f"content type {kind[:80] or 'missing'!r}: send application/json", field="content-type")


class TooSlow(Invalid):
    """The body stopped arriving."""

    status = 408

    def __init__(self) -> None:
        super().__init__(f"the body did not arrive within {BODY_SECONDS:.0f} s; nothing was done", seconds=BODY_SECONDS)


class Stalled(Invalid):
    """The bytes of an object stopped arriving."""

    status = 408

    def __init__(self) -> None:
        super().__init__(
            f"no byte of the object arrived for {STALL_SECONDS:g} s; nothing was stored", seconds=STALL_SECONDS
        )


class Disconnected(Exception):
    """The client left before its request was whole."""


SMALL_BODY: Final = 64 << 10
"""Bytes that a server has read anyway before it can say who sent them."""


def is_small(headers: Mapping[str, str]) -> bool:
    """Whether the headers announce a small body."""
    announced = headers.get("content-length", "")
    return announced.isdigit() and int(announced) <= SMALL_BODY


def check_json(headers: Mapping[str, str]) -> None:
    """Raise `UnsupportedMedia` unless the headers say that the body is plain JSON."""
    kind = headers.get("content-type", "")
    if kind != "application/json" and kind.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia(kind)
    coding = headers.get("content-encoding", "identity")
    if coding != "identity":
        raise UnsupportedMedia(f"{kind}, {coding}")


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """The whole body. Raises `TooLarge` without reading on, `TooSlow`, and `Disconnected`."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise TooLarge(limit)
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(first) > limit:
            raise TooLarge(limit)
        return first
    return await _read_on(receive, first, limit)


async def _read_on(receive: Receive, first: bytes, limit: int) -> bytes:
    body = bytearray(first)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                if len(body) > limit:
                    raise TooLarge(limit)
                message = await receive()
                if message["type"] != "http.request":
                    raise Disconnected
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    break
    except TimeoutError as error:
        raise TooSlow from error
    if len(body) > limit:
        raise TooLarge(limit)
    return bytes(body)


class Uploads:
    """Receives bodies of any length, piece by piece, some at a time: each holds a thread until it is whole."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(UPLOADS)

    async def receive(self, body: AsyncIterator[bytes], keep: Callable[[Iterator[bytes]], T]) -> T:
        """What a function makes of the pieces, in a thread. Raises `Stalled`."""

        async def following() -> list[bytes]:
            """What arrives next, a mebibyte where there is so much: each change of threads costs as much as hashing."""
            some: list[bytes] = []
            size = 0
            try:
                with anyio.fail_after(STALL_SECONDS) as patience:
                    while size < AT_ONCE and (piece := await anext(body, None)) is not None:
                        patience.deadline = anyio.current_time() + STALL_SECONDS
                        size += len(piece)
                        some.append(piece)
            except TimeoutError as error:
                raise Stalled from error
            return some

        def pieces() -> Iterator[bytes]:
            while some := anyio.from_thread.run(following):
                yield from filter(None, some)

        return await anyio.to_thread.run_sync(lambda: keep(pieces()), limiter=self._limiter)
