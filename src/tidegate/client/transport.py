"""Operations over HTTP: the request is split over path, query and body, and errors come back as their class."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from tidegate.kernel import wire
from tidegate.kernel.context import current
from tidegate.kernel.errors import Invalid, TidegateError, Unavailable, WireError, from_wire
from tidegate.kernel.ids import random_id
from tidegate.kernel.operation import Operation

TRIES = 4
_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_LIMITS = httpx2.Limits(keepalive_expiry=2.0)  # sooner than a server's or a proxy's between
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_TOKEN = re.compile(r"[\x21-\x7e]*")


class HttpTransport:
    """Calls a Tidegate server. Raises `Invalid` where the address or the token cannot be one."""

    def __init__(self, url: str, token: str = "") -> None:
        if not _TOKEN.fullmatch(token):
            raise Invalid("the token holds blanks or characters that no token has; is it whole, and nothing else?")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.url = url.rstrip("/")
        try:
            urlsplit(self.url).port  # noqa: B018  # refuses what the system would take modulo 65,536
            self._client = httpx2.Client(
                base_url=self.url,
                headers=headers,
                timeout=_TIMEOUT,
                limits=_LIMITS,
                trust_env=False,
                verify=httpx2.URL(self.url).scheme != "http",  # reading the authorities' certificates takes 50 ms
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise Invalid(f"{url[:200]!r} is not the address of a server: {error}") from error

    def carry(self, operation: Operation, request: bytes) -> bytes:
        """The answer's JSON. Raises the error that the server raised, or `Unavailable`.

        A call goes out again after a lost connection where that cannot do anything twice: reads, and writes in a
        transaction, which the server knows again by their idempotency key. Any other write only if it never left.
        """
        fields: dict[str, Any] = msgspec.json.decode(request)
        path = "/api/v1" + operation.path
        for name in operation.path_fields:
            path = path.replace("{" + name + "}", _segment(fields.pop(name)))
        headers: dict[str, str] = {}
        call = current.get()
        if operation.writes:
            headers["idempotency-key"] = (call.idempotency_key if call else None) or random_id()
            headers["content-type"] = "application/json"
            content, query = msgspec.json.encode(fields), None
        else:
            content, query = None, {name: _text(value) for name, value in fields.items() if value is not None}
        again = operation.transaction or not operation.writes
        response = self._request(
            operation.method, path, again=again, headers=headers, content=lambda: content, params=query
        )
        if response.headers.get("content-type") != "application/json":
            raise Unavailable(f"{self.url} answered, and not as a Tidegate server does: is the address right?")
        return response.content

    def send(self, method: str, path: str, headers: dict[str, str], content: Callable[[], Any] = lambda: None) -> bytes:
        """The body of the answer to what may be asked again. ``content`` gives the request's body, anew each time."""
        return self._request(method, path, again=True, headers=headers, content=content).content

    def _request(
        self, method: str, path: str, *, again: bool, content: Callable[[], Any], **options: Any
    ) -> httpx2.Response:
        for attempt in range(1, TRIES + 1):
            try:
                response = self._client.request(method, path, content=content(), **options)
            except httpx2.TransportError as error:
                if attempt == TRIES or not (again or isinstance(error, _NEVER_SENT)):
                    raise self._silent(error, sure=again or isinstance(error, _NEVER_SENT)) from error
                time.sleep(pause(attempt))
            else:
                if response.status_code >= 300:
                    raise error_of(response.status_code, response.content, self.url)
                return response
        raise AssertionError("unreachable")

    @contextmanager
    def stream(self, method: str, path: str, headers: dict[str, str] | None = None) -> Iterator[httpx2.Response]:
        """A streamed answer. Raises the server's error, and httpx2's `TransportError` when the connection is lost."""
        with self._client.stream(method, path, headers=headers) as response:
            if response.status_code >= 300:
                raise error_of(response.status_code, response.read(), self.url)
            yield response

    def _silent(self, error: httpx2.TransportError, *, sure: bool) -> Unavailable:
        what = f"the server at {self.url} does not answer ({type(error).__name__})"
        if sure:
            return Unavailable(f"{what}; is it running?")
        return Unavailable(f"{what} any more; whether it did what was asked is not known")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def pause(attempt: int) -> float:
    """Seconds to wait after so many attempts."""
    return 0.05 * 4.0 ** (attempt - 1)


def error_of(status: int, body: bytes, url: str) -> TidegateError:
    """The error in an answer; one that is not ours becomes `Unavailable` or `Internal` by its status."""
    try:
        return from_wire(msgspec.json.decode(body, type=WireError))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kind = "internal" if status == 500 else "unavailable"
        return from_wire(WireError(kind, f"{url} answered {status}, and not as a Tidegate server does"))


def _segment(value: Any) -> str:
    """A value as one segment of a path; dots alone would be taken for a way upwards."""
    text = quote(str(value), safe="")
    return text.replace(".", "%2E") if text in (".", "..") else text


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value if isinstance(value, str) else wire.encode(value).decode()
