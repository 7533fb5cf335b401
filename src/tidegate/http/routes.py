"""Every operation as a route: the request is put together, dispatched in a thread, and answered as JSON."""

import typing
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.endpoints.body import check_json, read_body
from tidegate.kernel import wire
from tidegate.kernel.context import Call
from tidegate.kernel.dispatch import Dispatcher
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.operation import Operation, Service

PREFIX = "/api/v1"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Identify = Callable[[Request], Coroutine[Any, Any, Call]]


def operation_routes(
    services: Mapping[str, Service], dispatcher: Dispatcher, identify: Identify, body_bytes: int
) -> list[Route]:
    """One route an operation, under ``/api/v1``."""
    return [
        Route(
            PREFIX + operation.path,
            _handler(operation, service, dispatcher, identify, body_bytes),
            methods=[operation.method],
        )
        for service in services.values()
        for operation in service.operations()
    ]


def _handler(
    operation: Operation, service: Service, dispatcher: Dispatcher, identify: Identify, body_bytes: int
) -> Handler:
    async def handle(request: Request) -> Response:
        call = await identify(request)
        if b"%2f" in request.scope["raw_path"].lower():  # it would be taken for two segments
            raise NotFound(f"there is nothing at {request.scope['raw_path'][:200].decode()}: no name holds a slash")
        body = await read_json(request, body_bytes) if operation.writes else {}
        query = _query(operation, request)
        asked = _merge(operation, request.path_params, query, body)

        def run() -> bytes:
            answer = dispatcher.run(operation, service, asked, call)
            return wire.encode(answer, operation.returns)

        return Response(await to_thread.run_sync(run), media_type="application/json")

    return handle


async def read_json(request: Request, limit: int) -> dict[str, Any]:
    """The body, a JSON object; an absent body is an empty one. Raises `Invalid`, also for other content types."""
    raw = await read_body(request.receive, request.headers, limit)
    if not raw:
        return {}
    check_json(request.headers)
    decoded: dict[str, Any] = wire.decode(raw, dict[str, Any])
    return decoded


def _query(operation: Operation, request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name in request.query_params:
        values = request.query_params.getlist(name)
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
