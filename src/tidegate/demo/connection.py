"""The demo's connection: it sends what is asked again until it is answered, and costs next to nothing itself.

A year is 24,000 requests one after the other, so what the client adds to each is seen in the end.
"""

import itertools
import socket
import time
from collections import deque
from collections.abc import Sequence
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
        self._open: deque[_Open] = deque()
        """What is not answered yet, in order."""
        self._sent = 0
        """How many of these, from the oldest one on, the line has been told."""
        self._told = datetime.min.replace(tzinfo=UTC)
        self.retried = 0
        """Requests that had to be sent more than once."""

    def send(self, posts: Sequence[Post]) -> None:
        """Send these after what is still to be answered.

        The server takes up one after the other (HTTP/1.1 pipelining), so there is something for it to do while the
        replies to the ones before are read.
        """
        asked = [_Open(post.path, self._encoded(post)) for post in posts]
        unbroken = self._sent == len(self._open)
        self._open += asked
        if unbroken and asked:
            try:
                self._tell([each.content for each in asked])
            except OSError:
                self._break()

    def receive(self, number: int) -> list[bytes]:
        """The replies to the oldest requests that are open. Raises what the server refuses for good.

        Where the connection breaks they are sent again one by one: later ones may lean on the first one that was not
        answered, so their replies would not count.
        """
        replies: list[bytes] = []
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while len(replies) < number:
            try:
                replies.append(self._oldest())
            except (OSError, httptools.HttpParserError):
                self._break()
                if time.monotonic() > give_up:
                    path = self._open[0].path
                    raise Unavailable(f"{path}: no answer in {_PATIENCE_SECONDS:.0f} s") from None
                time.sleep(_PAUSE_SECONDS)
        return replies

    def close(self) -> None:
        """Close the connection; a later request opens it again, and what is open by then is sent again."""
        if self._line is not None:
            self._line.close()
            self._line = None
        self._sent = 0

    def _encoded(self, post: Post) -> bytes:
        time_told = f"tidegate-time: {post.now.isoformat()}\r\n" if post.now > self._told else ""
        self._told = max(self._told, post.now)
        content = msgspec.json.encode(post.body)
        head = (
            f"POST {post.path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\ncontent-type: application/json\r\n"
            f"{time_told}content-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def _tell(self, requests: Sequence[bytes]) -> "_Line":
        line = self._line = self._line or _Line(self._port)
        self._sent += len(requests)
        line.tell(requests)
        return line

    def _oldest(self) -> bytes:
        """The reply to the oldest request. Raises `OSError` where the server is gone, or does not answer yet."""
        line = self._line if self._line is not None and self._sent else self._tell([self._open[0].content])
        status, reply = line.hear()
        if status == 503:
            raise ConnectionAbortedError("the server is not ready")
        if status != 200:
            self.close()
            raise from_wire(msgspec.json.decode(reply, type=WireError))
        self._open.popleft()
        self._sent -= 1
        return reply

    def _break(self) -> None:
        """What was sent and is not answered is to be sent again."""
        for each in itertools.islice(self._open, self._sent):
            self.retried += not each.again
            each.again = True
        self.close()


class _Open:
    """A request that is not answered yet."""

    def __init__(self, path: str, content: bytes) -> None:
        self.path = path
        self.content = content
        self.again = False
        """Whether it has to be sent once more."""


class _Line:
    """A socket, and the answers that are being read from it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._whole: deque[tuple[int, bytes]] = deque()

    def tell(self, requests: Sequence[bytes]) -> None:
        """Send them. Raises `OSError` when the server is gone."""
        self._socket.sendall(b"".join(requests))

    def hear(self) -> tuple[int, bytes]:
        """Status and body of the next answer. Raises `OSError` when the server is gone before it has answered."""
        while not self._whole:
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            self._parser.feed_data(piece)
        return self._whole.popleft()

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
