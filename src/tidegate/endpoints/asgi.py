"""The inference hot path: a raw ASGI callable in front of the whole application."""

import logging
from collections.abc import Callable
from typing import Final

from tidegate.endpoints.admission import Admission, Authorise
from tidegate.endpoints.body import AsgiApp, Disconnected, Receive, Scope, Send, check_json, read_body
from tidegate.endpoints.engine import ServingEngine
from tidegate.endpoints.meter import ServingMeter
from tidegate.endpoints.pace import Pace
from tidegate.endpoints.service import Endpoints
from tidegate.kernel import wire
from tidegate.kernel.clock import MachineClock
from tidegate.kernel.errors import Internal, Invalid, TidegateError, to_wire
from tidegate.kernel.identity import Authenticator
from tidegate.kernel.ids import random_id
from tidegate.kernel.operation import Operation

log = logging.getLogger("tidegate.endpoints")

PREFIX: Final = "/api/v1/endpoints/"

_OPERATIONS: Final[dict[str, Operation]] = {
    one.path.rpartition("/")[2]: one for one in Endpoints.operations() if one.name in ("predict", "labels")
}
_JSON: Final = (b"content-type", b"application/json")


class HotPath:
    """Answers ``POST /api/v1/endpoints/{name}/predict`` and ``…/labels``; hands everything else on.

    Laws:

    1. **Whole bodies.** Nothing is decided, predicted or logged before the whole body has arrived: a client that is
       slow, or leaves, leaves no row.
    2. **Bounded.** A body over the limit is answered with 413 and not read on.
    3. **Same rules.** Identity and role are those of the operations `endpoints.predict` and `endpoints.labels`,
       remembered for at most a second.
    4. **Never in the way.** What may take longer than a millisecond runs in a thread; too many of those at once are
       refused with 503.
    5. **One form.** Whatever goes wrong is answered as ``{code, message, details}``.
    """

    def __init__(
        self,
        engine: ServingEngine,
        authenticator: Authenticator,
        next_app: AsgiApp,
        *,
        authorise: Authorise,
        meter: ServingMeter,
        machine: MachineClock,
        body_bytes: int = 8 << 20,
    ) -> None:
        engine.measure(meter)
        engine.start()
        self._next = next_app
        self._admission = Admission(authenticator, authorise, machine)
        self._pace = Pace()
        self._meter = meter
        self._now = machine.monotonic
        self._knows = engine.routing.knows
        self._body_bytes = body_bytes
        self._work: dict[str, tuple[Callable[[str, bytes], bytes], Callable[[str, int], bool]]] = {
            "predict": (engine.predict_bytes, engine.predicts_quickly),
            "labels": (engine.label_bytes, engine.labels_quickly),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            if path.startswith(PREFIX):
                name, _, action = path[len(PREFIX) :].partition("/")
                if action in self._work and name and b"%2f" not in scope["raw_path"].lower():  # no name holds a slash
                    await self._serve(scope, receive, send, (name, action))
                    return
        await self._next(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, target: tuple[str, str]) -> None:
        started = self._now()
        name, action = target
        code = "ok"
        try:
            body = await self._answer(scope, receive, name, action)
            status, headers = 200, [_JSON]
        except Disconnected:
            self._observe(name, action, "disconnected", started)
            return
        except Exception as error:  # noqa: BLE001 - the edge: whatever fails is answered in one form
            failed = named(error, f"POST {scope['path'][:200]}")
            code = failed.code
            status, headers, body = failure(failed)
        headers.append((b"content-length", str(len(body)).encode()))
        # Before the answer: who has it finds it counted, whichever process is asked.
        self._observe(name, action, code, started)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _observe(self, name: str, action: str, code: str, started: float) -> None:
        endpoint = name if self._knows(name) else ""  # a name that anybody may invent counts as one
        self._meter.observe(endpoint, action, code, self._now() - started)

    async def _answer(self, scope: Scope, receive: Receive, name: str, action: str) -> bytes:
        headers = text_headers(scope)
        await self._admission.admit(_OPERATIONS[action], headers)
        if scope["query_string"]:
            raise Invalid("POST takes its parameters in the body, not in the query", field="query")
        check_json(headers)
        body = await read_body(receive, headers, self._body_bytes)
        work, is_quick = self._work[action]
        return await self._pace.answer(name, lambda: work(name, body), quick=is_quick(name, len(body)))


def text_headers(scope: Scope) -> dict[str, str]:
    """The headers of a request by lower-case name."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def failure(error: TidegateError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of an error."""
    headers = [_JSON]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    elif error.status == 408:
        headers.append((b"connection", b"close"))
    elif error.status == 503:
        headers.append((b"retry-after", b"1"))
    return error.status, headers, wire.encode(to_wire(error))


def named(error: Exception, what: str) -> TidegateError:
    """The error, if it is one of ours; anything else is logged and becomes `Internal`."""
    if isinstance(error, TidegateError):
        return error
    request_id = random_id()
    log.error("%s failed, request %s", what, request_id, exc_info=error)
    return Internal(f"a fault of ours; the log has it under request {request_id}", request_id=request_id)
