"""The door: one HTTP request out, to an address that was looked at first, and nowhere else."""

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tidegate.egress.addresses import parse_networks, why_forbidden
from tidegate.egress.target import Target, parse_target
from tidegate.egress.wire import Remaining, Wire, connect
from tidegate.kernel.clock import MachineClock, SystemClock
from tidegate.kernel.errors import Invalid, Refused, Unavailable

Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of a host and port, best first; raises `OSError` when there are none."""

_METHODS = re.compile(r"GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"})
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_PIECE = 64 * 1024


class Response(msgspec.Struct, frozen=True):
    """What a server answered; a redirect is an answer like any other."""

    status: int
    headers: dict[str, str]
    """Names in lower case; values of one name joined by a comma."""
    body: bytes


class Door:
    """Calls servers that people have named: webhooks, channels, linked sources. Safe to use from many threads.

    Laws:

    1. **One look.** A host is resolved once a call, and the connection goes to an address from that answer.
    2. **Public only.** Loopback, private, link-local, multicast, reserved and unspecified addresses raise `Refused`,
       also inside IPv6, unless they lie in a network of `allow_private`.
    3. **Nowhere else.** No redirect is followed, no proxy is used, no credentials are taken from the URL.
    4. **Bounded.** The whole call, looking up the name included, ends within `timeout` seconds, and no answer of more
       than `max_bytes` is read: both raise `Unavailable`.
    5. **The host is who it says.** Over https, the certificate must be valid for the URL's host.
    """

    def __init__(
        self,
        allow_private: Sequence[str] = (),
        *,
        timeout: float = 10.0,
        max_bytes: int = 8 * 1024 * 1024,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        clock: MachineClock | None = None,
    ) -> None:
        """Open the door. `allow_private` are networks as `10.0.0.0/8`, `timeout` is seconds."""
        self._allowed = parse_networks(allow_private)
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._resolver = resolver or resolve
        self._tls = tls
        self._clock = clock or SystemClock()

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Send one request and read the answer, whatever its status.

        Raises `Invalid` for a URL, method or header that cannot be sent, `Refused` for a forbidden address,
        `Unavailable` when there is no whole answer. After `Unavailable` the server may or may not have acted.
        """
        target = parse_target(url)
        _check_sendable(target, method, headers or {})
        remaining = self._countdown()
        try:
            with self._connect(target, remaining) as connected:
                return self._converse(target, Wire(connected, remaining), method, dict(headers or {}), body)
        except TimeoutError as error:
            raise Unavailable(
                f"{target.site} did not answer wholly within {self._timeout:g} s; try again later"
            ) from error
        except ssl.SSLError as error:
            raise Unavailable(f"no safe connection to {target.site}: {error.reason or error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the call to {target.site} failed: {str(error) or type(error).__name__}") from error

    def _countdown(self) -> Remaining:
        deadline = self._clock.monotonic() + self._timeout

        def remaining() -> float:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise TimeoutError
            return left

        return remaining

    def _connect(self, target: Target, remaining: Remaining) -> socket.socket:
        failure: OSError | None = None
        for address in self._permitted(target, remaining):
            try:
                return connect(target, address, self._tls or ssl.create_default_context(), remaining)
            except (TimeoutError, ssl.SSLError):
                raise
            except OSError as error:
                failure = error
        raise failure or OSError("its name has no address")

    def _permitted(self, target: Target, remaining: Remaining) -> list[str]:
        found = _within(remaining(), lambda: self._resolver(target.host, target.port))
        forbidden = {address: why_forbidden(address, self._allowed) for address in found}
        permitted = [address for address in found if forbidden[address] is None]
        if found and not permitted:
            reasons = "; ".join(f"{address} is {reason}" for address, reason in forbidden.items())
            raise Refused(
                f"no call goes to {target.site}: {reasons}. If that is meant, allow its network in allow_private, "
                "the setting for outbound calls",
                host=target.host,
                addresses=list(found),
            )
        return permitted

    def _converse(
        self, target: Target, wire: Wire, method: str, headers: dict[str, str], body: bytes | None
    ) -> Response:
        connection = http.client.HTTPConnection(target.host, target.port)
        # The Host header leaves the port out where it is the scheme's own.
        connection.default_port = 443 if target.scheme == "https" else 80
        connection.sock = wire
        try:
            connection.request(method, target.path, body=body, headers={**headers, "Connection": "close"})
        except ValueError as error:
            raise Invalid(f"the call to {target.site} cannot be sent: {error}") from error
        with connection.getresponse() as answer:
            received = bytearray()
            while piece := answer.read(_PIECE):
                received += piece
                if len(received) > self._max_bytes:
                    raise Unavailable(
                        f"the answer of {target.site} has more than {self._max_bytes} bytes; it was dropped"
                    )
            if answer.length:
                raise Unavailable(f"the answer of {target.site} broke off, {answer.length} bytes before its end")
            joined: dict[str, str] = {}
            for name, value in answer.getheaders():
                key = name.lower()
                joined[key] = f"{joined[key]}, {value}" if key in joined else value
            return Response(answer.status, joined, bytes(received))


def _check_sendable(target: Target, method: str, headers: Mapping[str, str]) -> None:
    """Raises `Invalid` for what would forge a request: `http.client` lets some of it through."""
    if not _METHODS.fullmatch(method):
        raise Invalid(f"an outbound call to {target.site} cannot use the method {method[:20]!r}")
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Invalid(
                f"the header {name[:40]!r} of a call to {target.site} holds characters that no header may hold"
            )
        if name.lower() in _OURS:
            raise Invalid(f"the header {name} of a call to {target.site} is set by the door itself")


def resolve(host: str, port: int) -> list[str]:
    """The addresses that the system knows for a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _within(seconds: float, look_up: Callable[[], Sequence[str]]) -> Sequence[str]:
    """The answer of a look-up, which the system cannot be asked to hurry. Raises `TimeoutError`, `OSError`."""
    answers: list[Sequence[str]] = []
    failures: list[OSError] = []

    def run() -> None:
        try:
            answers.append(look_up())
        except OSError as error:
            failures.append(error)
        except UnicodeError as error:
            failures.append(OSError(f"its name cannot be looked up: {error}"))

    worker = threading.Thread(target=run, name="egress-resolver", daemon=True)
    worker.start()
    worker.join(seconds)
    if failures:
        raise failures[0]
    if not answers:
        raise TimeoutError
    return answers[0]
