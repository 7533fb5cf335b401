"""Who is calling: by token, or, on loopback without accounts, the person `local`."""

import base64
import re
from collections.abc import Callable, Mapping

from tidegate.kernel.clock import BusinessClock, MachineClock, parse_instant
from tidegate.kernel.context import LOCAL_ACTOR, Call
from tidegate.kernel.errors import Forbidden, Invalid, Unauthenticated
from tidegate.kernel.ids import random_id

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

_HOST = re.compile(r"\[?([^\[\]]*?)\]?(?::\d+)?\Z")
_TEXT = re.compile(r"[\x21-\x7e]{1,128}\Z")


class HeaderAuthenticator:
    """Reads `Authorization`, `Idempotency-Key`, `X-Request-Id`, `Tidegate-Deadline` and `Tidegate-Time`.

    ``person_of`` finds the person of a token (raises `Unauthenticated`). With ``trust_loopback``, a request without
    a token belongs to the person `local`; it must then name a loopback host and come from no foreign page, so
    that a web page that the person looks at cannot act in their name.
    """

    def __init__(
        self, person_of: Callable[[str], str], clock: BusinessClock, machine: MachineClock, *, trust_loopback: bool
    ) -> None:
        self._person_of = person_of
        self._clock = clock
        self._machine = machine
        self._trust_loopback = trust_loopback

    def identify(self, headers: Mapping[str, str]) -> Call:
        """The call that these headers (lower-case names) describe. Raises `Unauthenticated`, `Invalid`."""
        call = Call(
            actor=self._actor(headers),
            request_id=_short(headers, "x-request-id") or random_id(),
            idempotency_key=_short(headers, "idempotency-key"),
            deadline=self._deadline(headers.get("tidegate-deadline")),
        )
        self._advance(headers.get("tidegate-time"))
        return call

    def _actor(self, headers: Mapping[str, str]) -> str:
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("the Authorization header must read 'Bearer TOKEN'", field="authorization")
            return self._person_of(token.strip())
        if not self._trust_loopback:
            raise Unauthenticated(
                "this server needs a token: send 'Authorization: Bearer TOKEN', or set TIDEGATE_TOKEN",
                field="authorization",
            )
        for name in ("host", "origin"):
            host = headers.get(name, "localhost").rpartition("//")[2]
            match = _HOST.match(host)
            if match is None or match[1].lower() not in LOOPBACK_NAMES:
                raise Forbidden(
                    f"{name} {host[:80]!r} is not this machine: without a token only loopback addresses may be used",
                    field=name,
                    value=host[:80],
                )
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Forbidden("a page of another site may not call this server without a token", field="sec-fetch-site")
        return LOCAL_ACTOR

    def _deadline(self, seconds: str | None) -> float | None:
        if seconds is None:
            return None
        try:
            left = float(seconds)
        except ValueError:
            left = -1.0
        if not 0 <= left < 1e9:
            raise Invalid(
                f"Tidegate-Deadline {seconds[:40]!r}: send seconds from now, 0 or more, such as 5",
                field="tidegate-deadline",
            )
        return self._machine.monotonic() + left

    def _advance(self, text: str | None) -> None:
        if text is None:
            return
        advance = getattr(self._clock, "advance", None)
        if advance is None:
            raise Invalid(
                "Tidegate-Time is taken only by a home that was created with --simulated-clock", field="tidegate-time"
            )
        try:
            moment = parse_instant(text[:80], "Tidegate-Time")
        except Invalid as error:
            raise Invalid(error.message, field="tidegate-time") from error
        advance(moment)


def of_reader(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of whoever reads a page: the password that a browser has asked for is a token (any name will do).

    Only for pages that change nothing: a browser sends the password with whatever another site makes it ask of this
    server. Raises `Unauthenticated`.
    """
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return headers
    try:
        password = base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError as error:
        raise Unauthenticated(
            "the Authorization header is not 'Basic' with a name and a token", field="authorization"
        ) from error
    return {**headers, "authorization": f"Bearer {password}"}


def _short(headers: Mapping[str, str], name: str) -> str | None:
    text = headers.get(name)
    if text is not None and not _TEXT.match(text):
        raise Invalid(f"{name} must be 1 to 128 visible ASCII characters", field=name)
    return text
