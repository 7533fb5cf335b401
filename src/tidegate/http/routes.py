"""Every operation over HTTP: found by its path, put together, dispatched in a thread, and answered as JSON.

A raw ASGI callable: what a framework does around a request costs several times what most operations take.
"""

import asyncio
import typing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tidegate.endpoints.asgi import failure, named, text_headers
from tidegate.endpoints.body import AsgiApp, Disconnected, Receive, Scope, Send, check_json, is_small, read_body
from tidegate.kernel import wire
from tidegate.kernel.context import Call
from tidegate.kernel.dispatch import Dispatcher
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.identity import Authenticator
from tidegate.kernel.operation import Operation, Service

PREFIX: Final = "/api/v1"

THREADS: Final = 40
"""Operations that may run at once; further ones wait for a thread."""

_JSON: Final = (b"content-type", b"application/json")

Match = tuple[dict[str, tuple[Operation, Service]], list[str]]
"""The operations of a path by method, and the values of its parameters."""


class WrongMethod(Invalid):
    """There is something at this path, but it takes other methods."""

    status = 405

    def __init__(self, path: str, method: str, allowed: Sequence[str]) -> None:
        self.allowed = ", ".join(sorted({*allowed, "HEAD"} if "GET" in allowed else allowed))
        super().__init__(f"{path[:200]} takes {self.allowed}, not {method}; see /openapi.json")


class OperationRoutes:
    """Answers operations under ``/api/v1``; hands everything else on.

    Laws:

    1. **Known first.** Only a small body is read before it is known who sends it.
    2. **Off the loop.** Identity, the operation and its encoding run in a thread.
    3. **One form.** Whatever goes wrong is answered as ``{code, message, details}``.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        dispatcher: Dispatcher,
        authenticator: Authenticator,
        next_app: AsgiApp,
        *,
        body_bytes: int,
    ) -> None:
        self._dispatcher = dispatcher
        self._authenticator = authenticator
        self._next = next_app
        self._body_bytes = body_bytes
        self._paths = Paths(services)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="operation")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        path = scope["path"] if scope["type"] == "http" else ""
        found = None
        if path.startswith(PREFIX + "/"):
            found = self._paths.match(_method(scope), path[len(PREFIX) :])
        if found is None:
            await self._next(scope, receive, send)
            return
        try:
            status, headers, body = 200, [_JSON], await self._answer(scope, receive, found)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - the edge: whatever fails is answered in one form
            failed = named(error, f"{scope['method']} {path[:200]}")
            status, headers, body = failure(failed)
            if isinstance(failed, WrongMethod):
                headers.append((b"allow", failed.allowed.encode()))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive, found: Match) -> bytes:
        operations, values = found
        if _method(scope) not in operations:
            raise WrongMethod(scope["path"], scope["method"], tuple(operations))
        operation, service = operations[_method(scope)]
        headers = text_headers(scope)
        loop = asyncio.get_running_loop()
        call: Call | None = None
        if operation.writes and not is_small(headers):
            call = await loop.run_in_executor(self._threads, self._authenticator.identify, headers)
        raw = await read_body(receive, headers, self._body_bytes) if operation.writes else b""

        def run() -> bytes:
            caller = call or self._authenticator.identify(headers)
            if b"%2f" in scope["raw_path"].lower():  # it would be taken for two segments
                raise NotFound(f"there is nothing at {scope['raw_path'][:200].decode()}: no name holds a slash")
            path = dict(zip(operation.path_fields, values, strict=True))
            asked = _merge(operation, path, _query(operation, scope["query_string"]), _decoded(raw, headers))
            answer = self._dispatcher.run(operation, service, asked, caller)
            return wire.encode(answer, operation.returns)

        return await loop.run_in_executor(self._threads, run)


class Paths:
    """Finds operations by method and path; a segment that is spelt out goes before a parameter."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._root = _Node()
        for service in services.values():
            for operation in service.operations():
                self._add(operation, service)

    def match(self, method: str, path: str) -> Match | None:
        """What stands at a path such as `/runs/7`; where nothing there takes the method, all that does not."""
        others: dict[str, tuple[Operation, Service]] = {}
        for node, values in _walk(self._root, path.split("/")[1:]):
            if method in node.operations:
                return node.operations, values
            others |= node.operations
        return (others, []) if others else None

    def _add(self, operation: Operation, service: Service) -> None:
        node = self._root
        for segment in operation.path.split("/")[1:]:
            node = node.following.setdefault("" if segment.startswith("{") else segment, _Node())
        node.operations[operation.method] = operation, service


class _Node:
    """A place in the tree of paths."""

    __slots__ = ("following", "operations")

    def __init__(self) -> None:
        self.following: dict[str, _Node] = {}
        """By segment; that of a parameter is empty."""
        self.operations: dict[str, tuple[Operation, Service]] = {}


def _walk(node: _Node, segments: Sequence[str]) -> Iterator[tuple[_Node, list[str]]]:
    """The nodes at the end of these segments, each with the values of its parameters."""
    if not segments:
        yield node, []
        return
    first, rest = segments[0], segments[1:]
    if not first:
        return
    if first in node.following:
        yield from _walk(node.following[first], rest)
    if "" in node.following:
        for end, values in _walk(node.following[""], rest):
            yield end, [first, *values]


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return "GET" if method == "HEAD" else method


def _decoded(raw: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """The body, a JSON object; an absent body is an empty one. Raises `Invalid`, also for other content types."""
    if not raw:
        return {}
    check_json(headers)
    decoded: dict[str, Any] = wire.decode_plain(raw, dict[str, Any])
    return decoded


def _query(operation: Operation, text: bytes) -> dict[str, Any]:
    if not text:
        return {}
    every: dict[str, list[str]] = {}
    for name, value in parse_qsl(text.decode("latin-1"), keep_blank_values=True):
        every.setdefault(name, []).append(value)
    given: dict[str, Any] = {}
    for name, values in every.items():
        many = typing.get_origin(operation.hints.get(name)) in (list, tuple)
        if len(values) > 1 and not many:
            raise Invalid(f"query parameter {name} is given {len(values)} times; give it once", field=name)
        given[name] = values if many else values[0]
    return given


def _merge(
    operation: Operation, path: Mapping[str, Any], query: dict[str, Any], body: dict[str, Any]
) -> msgspec.Struct:
    if operation.writes and query:
        raise Invalid(
            f"{operation.method} takes its parameters in the body, not in the query: {', '.join(query)}",
            field=next(iter(query)),
        )
    twice = (query.keys() | body.keys()) & path.keys()
    if twice:
        raise Invalid(f"{', '.join(sorted(twice))} stands in the path already; leave it out", field=min(twice))
    what = f"{operation.room}.{operation.name}"
    texts = wire.convert(
        {name: value for name, value in {**path, **query}.items() if name in operation.parameters},
        _partial(operation, frozenset(path) | frozenset(query)),
        what,
        strict=False,
    )
    unknown = query.keys() - operation.parameters.keys()
    if unknown:
        raise Invalid(f"{what}: there is no parameter {min(unknown)!r}", field=min(unknown))
    asked: msgspec.Struct = wire.convert(body | msgspec.structs.asdict(texts), operation.request, what)
    return asked


_PARTIALS: dict[tuple[int, frozenset[str]], type[msgspec.Struct]] = {}


def _partial(operation: Operation, names: frozenset[str]) -> type[msgspec.Struct]:
    """A record of those parameters that came as text, so that only they are read leniently."""
    names &= frozenset(operation.parameters)
    key = (id(operation), names)
    if key not in _PARTIALS:
        fields = [(name, operation.hints[name]) for name in operation.parameters if name in names]
        _PARTIALS[key] = msgspec.defstruct("Texts", fields, kw_only=True, frozen=True)
    return _PARTIALS[key]
