"""Calls an ASGI application in this process, the body cut into whatever messages a test wants."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tidegate.endpoints.body import AsgiApp, Message


class Reply(NamedTuple):
    """What the application sent; status 0 when it sent nothing."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


def call(
    app: AsgiApp,
    path: str,
    parts: Sequence[bytes] = (b"",),
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    leaves: bool = False,
) -> Reply:
    """One request. With ``leaves`` the client disconnects instead of sending the last part's end."""
    given = {"host": "localhost", "content-type": "application/json"} | (headers or {})
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": leaves or index + 1 < len(parts)}
        for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "server": ("localhost", 80),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    if not sent:
        return Reply(0, {}, b"")
    return Reply(
        sent[0]["status"],
        {name.decode(): value.decode() for name, value in sent[0]["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )
