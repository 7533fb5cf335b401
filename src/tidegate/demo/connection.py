"""The demo's connection: it sends what is asked again until it is answered, and costs next to nothing itself.

A year is 24,000 requests one after the other, so what the client adds to each is seen in the end.
"""

import socket
import time
from datetime import UTC, datetime
from typing import Any, Final

import httptools
import msgspec

from tidegate.kernel.errors import Unavailable, WireError, from_wire

_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.05
_TIMEOUT_SECONDS: Final = 20.0
_PIECE: Final = 1 << 16


class Connection:
    """One connection, opened again whenever it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line: _Line | None = None
        self.retried = 0
        """Requests that had to be sent more than once."""
        self._told = datetime.min.replace(tzinfo=UTC)

    def post(self, path: str, body: dict[str, Any], now: datetime) -> bytes:
        """The reply. Raises what the server refuses for good."""
        time_told = f"tidegate-time: {now.isoformat()}\r\n" if now > self._told else ""
        content = msgspec.json.encode(body)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\ncontent-type: application/json\r\n"
            f"{time_told}content-length: {len(content)}\r\n\r\n"
        )
        request = head.encode() + content
        give_up = time.monotonic() + _PATIENCE_SECONDS
        tries = 0
        while time.monotonic() < give_up:
            tries += 1
            self.retried += tries == 2
            try:
                self._line = self._line or _Line(self._port)
                status, reply = self._line.ask(request)
            except (OSError, httptools.HttpParserError):
                self._close()
            else:
                if status == 200:
                    self._told = now
                    return reply
                if status != 503:
                    raise from_wire(msgspec.json.decode(reply, type=WireError))
            time.sleep(_PAUSE_SECONDS)
        raise Unavailable(f"{path}: no answer in {_PATIENCE_SECONDS:.0f} s and {tries} tries")

    def _close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


class _Line:
    """A socket, and the answer that is being read from it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._whole = False

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises `OSError` when the server is gone before it has answered."""
        self._parts, self._whole = [], False
        self._socket.sendall(request)
        while not self._whole:
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            self._parser.feed_data(piece)
        return self._parser.get_status_code(), b"".join(self._parts)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def on_body(self, part: bytes) -> None:
        """The parser found a part of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """The parser found the end."""
        self._whole = True
