"""HTTP/1.1 as uvicorn speaks it, but what cannot be read as HTTP is refused in the form of every other error."""

from typing import Final

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


class Protocol(HttpToolsProtocol):
    """One connection."""

    _in_headers = False
    _header_bytes = 0
    _discarded = 0
    _requests = 0

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
