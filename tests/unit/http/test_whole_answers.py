"""Head and body of an answer leave in one piece, in order, and nothing that waits is forgotten."""

import asyncio
from typing import Any

import pytest

from tidegate.http.protocol import MOST_JOINED_BYTES, Whole

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b'{"answer": 1}'


class Wire(asyncio.Transport):
    """Remembers what was written to it, each piece by itself."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 7)})
        self.pieces: list[bytes | str] = []

    def write(self, data: Any) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.pieces.append("closed")


LARGE = b"x" * MOST_JOINED_BYTES


@pytest.mark.parametrize(
    ("written", "pieces"),
    [
        ([HEAD, BODY], [HEAD + BODY]),
        ([HEAD], [HEAD]),
        ([HEAD, LARGE], [HEAD, LARGE]),
        ([HEAD, BODY, HEAD, BODY], [HEAD + BODY, HEAD + BODY]),
        ([HEAD, BODY, BODY], [HEAD + BODY, BODY]),
    ],
)
def test_what_is_written_in_one_turn_leaves_in_order(written: list[bytes], pieces: list[bytes]) -> None:
    async def run() -> tuple[list[bytes | str], list[bytes | str]]:
        wire = Wire()
        whole = Whole(wire, asyncio.get_running_loop())
        for each in written:
            whole.write(each)
        await asyncio.sleep(0)
        before = list(wire.pieces)
        whole.write(HEAD)
        whole.close()
        await asyncio.sleep(0)
        return before, wire.pieces[len(before) :]

    assert asyncio.run(run()) == (pieces, [HEAD, "closed"])


def test_all_else_is_the_transports_own() -> None:
    async def run() -> object:
        return Whole(Wire(), asyncio.get_running_loop()).get_extra_info("peername")

    assert asyncio.run(run()) == ("127.0.0.1", 7)
