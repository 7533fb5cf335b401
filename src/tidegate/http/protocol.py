"""HTTP/1.1 as uvicorn speaks it, but what cannot be read as HTTP is refused in the form of every other error."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.kernel import wire
from tidegate.kernel.errors import Invalid, TidegateError, to_wire

MOST_HEADER_BYTES: Final = 64 << 10
"""So much more than a first piece may arrive before headers are whole; with this parser uvicorn sets no limit."""

MOST_DISCARDED_BYTES: Final = 32 << 20
"""So much of a body is thrown away after it was refused; then the connection is closed."""


class HeadersTooLarge(Invalid):
    """The headers are larger than the server reads."""

    status = 431

    def __init__(self) -> None:
        super().__init__(
            f"the request's address and headers are larger than {MOST_HEADER_BYTES:,} bytes", limit=MOST_HEADER_BYTES
        )


MOST_JOINED_BYTES: Final = 64 << 10
"""A body that is larger is sent by itself: copying it would cost more than a system call."""


class Whole:
    """A transport that sends head and body of an answer in one piece: one system call, and one wake-up of the client.

    What is written first in a turn of the event loop waits for what follows it, and for the end of the turn at most.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._soon = loop.call_soon
        self._held = b""

    def write(self, data: bytes) -> None:
        """Send these bytes, after those that wait."""
        if not self._held:
            self._held = data
            self._soon(self.flush)
            return
        if len(data) < MOST_JOINED_BYTES:
            data, self._held = self._held + data, b""
        self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        """Send what waits."""
        if self._held:
            self._transport.write(self._held)
            self._held = b""

    def close(self) -> None:
        """Send what waits, and close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """One connection."""

    _in_headers = False
    _header_bytes = 0
    _discarded = 0
    _requests = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(Whole(transport, self.loop))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        waiting = self._requests if self._in_headers else -1
        super().data_received(data)
        if waiting == self._requests and self._in_headers:  # nothing but headers, and still no end of them
            self._header_bytes += len(data)
            if self._header_bytes > MOST_HEADER_BYTES:
                self._refuse(HeadersTooLarge(), b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._requests += 1
        self._in_headers, self._header_bytes, self._discarded = True, 0, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._in_headers = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body; after the answer it is thrown away, so that the client comes to read the answer."""
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > MOST_DISCARDED_BYTES:
                self.transport.close()
                return
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """What arrived is not HTTP."""
        self._refuse(Invalid(f"{msg.rstrip('.')}: what arrived is not HTTP/1.1"), b"400 Bad Request")

    def _refuse(self, error: TidegateError, status: bytes) -> None:
        self._in_headers = False
        body = wire.encode(to_wire(error))
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()
