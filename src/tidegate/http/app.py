"""The ASGI application of one home."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Route

from tidegate.endpoints.body import Disconnected
from tidegate.http import meter
from tidegate.http.identity import of_reader
from tidegate.http.objects import ObjectRoutes
from tidegate.http.openapi import openapi
from tidegate.http.routes import PREFIX, OperationRoutes, WrongMethod
from tidegate.http.status_page import read_as, render_status
from tidegate.kernel import wire
from tidegate.kernel.context import Call
from tidegate.kernel.errors import Internal, Invalid, NotFound, TidegateError, Unauthenticated, Unavailable, to_wire
from tidegate.kernel.identity import Authenticator
from tidegate.kernel.ids import random_id
from tidegate.models.card_page import POLICY as CARD_POLICY
from tidegate.workspace import SERVICES, LocalWorkspace

log = logging.getLogger("tidegate.http")

_NO_FRAME = "frame-ancestors 'none'"
_PAGE_HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; {_NO_FRAME}",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class _UnknownReader(Unauthenticated):
    """Nobody knows who opens a page: a browser asks its person."""

    challenge = 'Basic realm="Tidegate", charset="UTF-8"'


class Application:
    """Routes, errors and pages around the dispatcher of one workspace."""

    def __init__(self, workspace: LocalWorkspace, authenticator: Authenticator) -> None:
        self._workspace = workspace
        self._authenticator = authenticator
        self._settings = workspace.settings

    def build(self, more: Sequence[BaseRoute] = ()) -> OperationRoutes:
        """The operations, and the pages behind them. ``more`` are the routes of foreign protocols."""
        space = self._workspace
        objects = ObjectRoutes(space.objects, space.dispatcher, self.identify)
        routes: list[BaseRoute] = [
            Route("/health", self._health),
            Route("/version", self._mlflow_version),
            Route("/ready", self._ready),
            Route("/metrics", self._metrics),
            Route("/openapi.json", self._openapi),
            Route("/", self._status),
            Route(PREFIX + "/version", self._version),
            Route(PREFIX + "/models/{name}/versions/{number}/card.html", self._card),
            *objects.routes(),
            *more,
        ]
        pages = Starlette(
            routes=routes,
            exception_handlers={
                TidegateError: error_response,
                HTTPException: _http_error,
                Disconnected: _nobody_left,
                ClientDisconnect: _nobody_left,
                Exception: _fault,
            },
        )
        pages.router.redirect_slashes = False  # a redirect would go to whatever host the request names
        body_bytes = self._settings.body_megabytes << 20
        return OperationRoutes(space.services, space.dispatcher, self._authenticator, pages, body_bytes=body_bytes)

    async def identify(self, request: Request) -> Call:
        """Who calls. The look-up of a token reads the catalog, so it runs in a thread."""
        return await to_thread.run_sync(self._authenticator.identify, request.headers)

    async def _identify_reader(self, request: Request) -> Call:
        """Who opens a page, in a browser or with a token as everywhere."""
        try:
            return await to_thread.run_sync(self._authenticator.identify, of_reader(request.headers))
        except Unauthenticated as error:
            how = (
                "in a browser, give any name, and a token as the password ('tidegate people new-token NAME' makes one)"
            )
            raise _UnknownReader(f"{error.message}; {how}", **error.details) from error

    async def _health(self, _request: Request) -> Response:
        return PlainTextResponse("OK")

    async def _mlflow_version(self, _request: Request) -> Response:
        return PlainTextResponse(self._settings.mlflow_version)

    async def _version(self, _request: Request) -> Response:
        return _json({"version": version("tidegate"), "mlflow": self._settings.mlflow_version, "api": "v1"})

    async def _ready(self, _request: Request) -> Response:
        try:
            await to_thread.run_sync(self._workspace.check_ready)
        except TidegateError as error:
            raise Unavailable(f"not ready: {error.message}") from error
        return _json({"ready": True})

    async def _metrics(self, request: Request) -> Response:
        await self._identify_reader(request)
        return Response(await to_thread.run_sync(meter.exposition), media_type=meter.CONTENT_TYPE)

    async def _openapi(self, _request: Request) -> Response:
        return _json(openapi(SERVICES, version("tidegate")))

    async def _status(self, request: Request) -> Response:
        call = await self._identify_reader(request)
        page = await to_thread.run_sync(render_status, self._workspace, call)
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    async def _card(self, request: Request) -> Response:
        """A version's card for a browser: drawn, and nothing else."""
        call = await self._identify_reader(request)
        name, number = request.path_params["name"], request.path_params["number"]
        if not number.isascii() or not number.isdigit() or len(number) > 9:
            raise NotFound(f"{number[:40]!r} is no number of a version")
        card = await to_thread.run_sync(
            read_as, self._workspace, call, lambda space: space.models.card(name, int(number), form="html")
        )
        return HTMLResponse(card, headers=_PAGE_HEADERS | {"content-security-policy": f"{CARD_POLICY}; {_NO_FRAME}"})


async def error_response(request: Request, error: Exception) -> Response:
    """An error of ours as ``{code, message, details}``."""
    if not isinstance(error, TidegateError):
        return await _fault(request, error)
    headers = {}
    if error.status == 401:
        headers["www-authenticate"] = error.challenge if isinstance(error, _UnknownReader) else "Bearer"
    if error.status == 503:
        headers["retry-after"] = "1"
    if error.status == 408:
        headers["connection"] = "close"
    if error.status == 416:
        headers["content-range"] = f"bytes */{error.details['size']}"
    return Response(wire.encode(to_wire(error)), error.status, headers, "application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return await error_response(
            request, NotFound(f"there is nothing at {request.url.path[:200]}; see /openapi.json")
        )
    if status == 405:
        return _wrong_method(request)
    detail = error.detail if isinstance(error, HTTPException) else str(error)
    wrong = Invalid(f"{request.method} {request.url.path[:200]}: {detail}; see /openapi.json")
    return Response(wire.encode(to_wire(wrong)), status, media_type="application/json")


def _wrong_method(request: Request) -> Response:
    """405 with every method that the path takes, on whatever route of a page each of them stands."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    wrong = WrongMethod(request.url.path, request.method, [one for route in fitting for one in route.methods or ()])
    return Response(wire.encode(to_wire(wrong)), 405, {"allow": wrong.allowed}, "application/json")


async def _nobody_left(_request: Request, _error: Exception) -> Response:
    """The client left before its request was whole: nothing was done, and nobody reads this."""
    return Response(status_code=400)


async def _fault(_request: Request, error: Exception) -> Response:
    request_id = random_id()
    log.error("request %s failed", request_id, exc_info=error)
    fault = Internal(f"a fault of ours; the log has it under request {request_id}", request_id=request_id)
    return Response(wire.encode(to_wire(fault)), 500, media_type="application/json")


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
