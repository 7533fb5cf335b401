"""The demo's connection: it sends what is asked again until it is answered, and costs next to nothing itself.

A year is 24,000 requests one after the other, so what the client adds to each is seen in the end.
"""

import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import httptools
import msgspec

from tidegate.kernel.errors import Unavailable, WireError, from_wire

_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.05
_TIMEOUT_SECONDS: Final = 20.0
_PIECE: Final = 1 << 16


class Post(NamedTuple):
    """A request that is to be sent."""

    path: str
    body: dict[str, Any]
    now: datetime
    """Business time at which it is sent; never before that of the one before it."""


class Connection:
    """One connection, opened again whenever it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line: _Line | None = None
        self.retried = 0
        """Requests that had to be sent more than once."""
        self._told = datetime.min.replace(tzinfo=UTC)

    def send(self, posts: Sequence[Post]) -> list[bytes]:
        """The replies, in order. Raises what the server refuses for good.

        All are sent at once, and the server takes up one after the other (HTTP/1.1 pipelining). From the first one on
        that is not answered they are sent again one by one: later ones may lean on it, so their replies do not count.
        """
        requests = [self._encoded(post) for post in posts]
        replies: list[bytes] = []
        give_up = time.monotonic() + _PATIENCE_SECONDS
        together = True
        while len(replies) < len(requests):
            left = requests[len(replies) :]
            try:
                self._exchange(left if together else left[:1], replies)
            except (OSError, httptools.HttpParserError):
                self._close()
                if together:
                    self.retried += len(requests) - len(replies)
                    together = False
                if time.monotonic() > give_up:
                    path = posts[len(replies)].path
                    raise Unavailable(f"{path}: no answer in {_PATIENCE_SECONDS:.0f} s") from None
                time.sleep(_PAUSE_SECONDS)
        return replies

    def _encoded(self, post: Post) -> bytes:
        time_told = f"tidegate-time: {post.now.isoformat()}\r\n" if post.now > self._told else ""
        self._told = max(self._told, post.now)
        content = msgspec.json.encode(post.body)
        head = (
            f"POST {post.path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\ncontent-type: application/json\r\n"
            f"{time_told}content-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def _exchange(self, requests: Sequence[bytes], replies: list[bytes]) -> None:
        """Send, and add the replies. Raises `OSError` where the server is gone, or does not answer yet."""
        self._line = self._line or _Line(self._port)
        for status, reply in self._line.ask(requests):
            if status == 503:
                raise ConnectionAbortedError("the server is not ready")
            if status != 200:
                self._close()
                raise from_wire(msgspec.json.decode(reply, type=WireError))
            replies.append(reply)

    def _close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


class _Line:
    """A socket, and the answers that are being read from it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._whole: deque[tuple[int, bytes]] = deque()

    def ask(self, requests: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """Status and body of each. Raises `OSError` when the server is gone before it has answered."""
        self._socket.sendall(b"".join(requests))
        for _ in requests:
            while not self._whole:
                piece = self._socket.recv(_PIECE)
                if not piece:
                    raise ConnectionResetError("the server closed the connection")
                self._parser.feed_data(piece)
            yield self._whole.popleft()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def on_body(self, part: bytes) -> None:
        """The parser found a part of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """The parser found the end of an answer."""
        self._whole.append((self._parser.get_status_code(), b"".join(self._parts)))
        self._parts = []
