"""Operations over HTTP: the request is split over path, query and body, and errors come back as their class."""

import time
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec

from tidegate.kernel import wire
from tidegate.kernel.context import current
from tidegate.kernel.errors import TidegateError, Unavailable, WireError, from_wire
from tidegate.kernel.ids import random_id
from tidegate.kernel.operation import Operation

_TRIES = 4
_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)


class HttpTransport:
    """Calls a Tidegate server. A write carries an idempotency key, so it may be sent again after a lost connection."""

    def __init__(self, url: str, token: str = "") -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.url = url.rstrip("/")
        self._client = httpx2.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT, trust_env=False)

    def carry(self, operation: Operation, request: bytes) -> bytes:
        """The answer's JSON. Raises the error that the server raised, or `Unavailable`."""
        fields: dict[str, Any] = msgspec.json.decode(request)
        path = "/api/v1" + operation.path
        for name in operation.path_fields:
            path = path.replace("{" + name + "}", quote(str(fields.pop(name)), safe=""))
        headers: dict[str, str] = {}
        call = current.get()
        if operation.writes:
            headers["idempotency-key"] = (call.idempotency_key if call else None) or random_id()
            headers["content-type"] = "application/json"
            content, query = msgspec.json.encode(fields), None
        else:
            content, query = None, {name: _text(value) for name, value in fields.items() if value is not None}
        return self.send(operation.method, path, headers=headers, content=content, params=query)

    def send(self, method: str, path: str, *, again: bool = True, **options: Any) -> bytes:
        """The body of the answer. Tries again after a lost connection, unless ``again`` is False."""
        for attempt in range(_TRIES):
            try:
                response = self._client.request(method, path, **options)
            except httpx2.TransportError as error:
                if attempt + 1 == _TRIES or not again:
                    raise Unavailable(
                        f"the server at {self.url} does not answer ({type(error).__name__}); is it running?"
                    ) from error
                time.sleep(0.05 * 4**attempt)
            else:
                if response.status_code >= 400:
                    raise error_of(response.status_code, response.content, self.url)
                return response.content
        raise AssertionError("unreachable")

    def stream(self, method: str, path: str, **options: Any) -> Any:
        """A streamed answer, as httpx2's context manager."""
        return self._client.stream(method, path, **options)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def error_of(status: int, body: bytes, url: str) -> TidegateError:
    """The error in an answer; one that is not ours becomes `Unavailable` or `Internal` by its status."""
    try:
        return from_wire(msgspec.json.decode(body, type=WireError))
    except (msgspec.DecodeError, UnicodeDecodeError):
        kind = "unavailable" if status in (502, 503, 504) else "internal"
        return from_wire(WireError(kind, f"{url} answered {status}, and not as a Tidegate server does"))


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value if isinstance(value, str) else wire.encode(value).decode()
