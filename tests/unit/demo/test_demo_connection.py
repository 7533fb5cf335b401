"""The demo's connection: every reply comes once and in order, wherever the server breaks it off."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.demo.connection import Connection, Post
from tidegate.kernel.errors import Invalid

NOW = datetime(2013, 4, 1, tzinfo=UTC)


class BreakingServer:
    """Answers a number with itself; its first connections it breaks off after so many answers each."""

    def __init__(self, breaks: list[int], *, refused: int = -1) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.heard: list[int] = []
        """What was answered, as often as it was."""
        self._breaks = list(breaks)
        self._refused = refused
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """No further connection."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as requests, contextlib.suppress(OSError):
                left = self._breaks.pop(0) if self._breaks else 1_000
                for number in _numbers(requests):
                    if not left:
                        break
                    left -= 1
                    self.heard.append(number)
                    connection.sendall(self._answer(number))

    def _answer(self, number: int) -> bytes:
        status, body = 200, json.dumps(number).encode()
        if number == self._refused:
            status, body = 422, json.dumps({"code": "invalid", "message": f"{number} is not taken"}).encode()
        return b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def _numbers(requests: BinaryIO) -> Iterator[int]:
    while requests.readline():
        length = 0
        while (line := requests.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name == b"content-length" else length
        yield int(json.loads(requests.read(length))["number"])


def _posts(numbers: range) -> list[Post]:
    return [Post("/numbers", {"number": number}, NOW + timedelta(hours=number)) for number in numbers]


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6),
    breaks=st.lists(st.integers(0, 4), max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_every_reply_comes_once_and_in_order(steps: list[tuple[int, int]], breaks: list[int]) -> None:
    server = BreakingServer(breaks)
    connection = Connection(server.port)
    sent, replies = 0, list[bytes]()
    for more, fewer in steps:
        connection.send(_posts(range(sent, sent + more)))
        sent += more
        replies += connection.receive(min(fewer, sent - len(replies)))
    replies += connection.receive(sent - len(replies))
    connection.close()
    server.close()
    assert [json.loads(reply) for reply in replies] == list(range(sent))
    first_heard = list(dict.fromkeys(server.heard))
    assert first_heard == list(range(sent)), "none is taken up before the one in front of it"
    again = len(server.heard) - sent
    assert again <= connection.retried <= sent, "whatever the server heard twice was counted"


def test_without_a_break_nothing_is_sent_twice() -> None:
    server = BreakingServer([])
    connection = Connection(server.port)
    connection.send(_posts(range(3)))
    connection.send(_posts(range(3, 5)))
    assert connection.receive(5) == [b"0", b"1", b"2", b"3", b"4"]
    assert (server.heard, connection.retried) == ([0, 1, 2, 3, 4], 0)
    connection.close()
    server.close()


def test_what_the_server_refuses_is_raised() -> None:
    server = BreakingServer([], refused=1)
    connection = Connection(server.port)
    connection.send(_posts(range(3)))
    assert connection.receive(1) == [b"0"]
    with pytest.raises(Invalid, match="1 is not taken"):
        connection.receive(2)
    server.close()
