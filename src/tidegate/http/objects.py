"""The object plane: bytes by digest, streamed, in ranges, verified."""

import itertools
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tidegate.endpoints.body import Uploads
from tidegate.http.routes import PREFIX
from tidegate.kernel import wire
from tidegate.kernel.context import Call, Role
from tidegate.kernel.dispatch import Dispatcher
from tidegate.kernel.errors import Invalid
from tidegate.kernel.objects import ObjectInfo, ObjectPlane

Identify = Callable[[Request], Coroutine[Any, Any, Call]]

_BYTES = "application/octet-stream"
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")


class OutOfRange(Invalid):
    """The range lies outside the object."""

    status = 416


class ObjectRoutes:
    """``GET``, ``HEAD`` and ``PUT /api/v1/objects/{digest}``."""

    def __init__(self, objects: ObjectPlane, dispatcher: Dispatcher, identify: Identify) -> None:
        self._objects = objects
        self._dispatcher = dispatcher
        self._identify = identify
        self._uploads = Uploads()

    def routes(self) -> list[Route]:
        """The routes of the plane."""
        path = PREFIX + "/objects/{digest}"
        return [Route(path, self._get, methods=["GET", "HEAD"]), Route(path, self._put, methods=["PUT"])]

    async def _get(self, request: Request) -> Response:
        await self._allow(request, "viewer", "read objects")
        digest = request.path_params["digest"]
        info: ObjectInfo = await to_thread.run_sync(self._objects.stat, digest)
        headers = {
            "accept-ranges": "bytes",
            "etag": f'"{digest}"',
            "cache-control": "private, max-age=31536000, immutable",
            "tidegate-sha256": info.sha256,
            "content-disposition": f'attachment; filename="{digest}"',
            "x-content-type-options": "nosniff",
        }
        if request.method == "HEAD":
            return Response(headers=headers | {"content-length": str(info.size)}, media_type=_BYTES)
        start, length = _range(request.headers.get("range"), info.size)
        status = 200
        if length != info.size:
            status = 206
            headers["content-range"] = f"bytes {start}-{start + length - 1}/{info.size}"
        headers["content-length"] = str(length)
        pieces = await to_thread.run_sync(self._begun, digest, start, length)
        return StreamingResponse(pieces, status_code=status, headers=headers, media_type=_BYTES)

    def _begun(self, digest: str, start: int, length: int) -> Iterator[bytes]:
        """The pieces; the first is read before the answer begins, so that what is wrong with it can be said."""
        pieces = iter(self._objects.stream(digest, start=start, length=length))
        return itertools.chain([next(pieces, b"")], pieces)

    async def _put(self, request: Request) -> Response:
        await self._allow(request, "contributor", "store objects")
        digest = request.path_params["digest"]
        info = await self._uploads.receive(
            aiter(request.stream()), lambda pieces: self._objects.put(pieces, expect=digest)
        )
        return Response(wire.encode(info), media_type="application/json")

    async def _allow(self, request: Request, role: Role, act: str) -> None:
        call = await self._identify(request)
        await to_thread.run_sync(self._dispatcher.require, call, role, act)


def _range(header: str | None, size: int) -> tuple[int, int]:
    """First byte and length that a Range header asks for; the whole object without one."""
    match = _RANGE.match(header) if header else None
    if match is None or match.groups() == ("", ""):
        return 0, size  # several ranges, and units we do not know, may be ignored (RFC 9110, 14.2)
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    else:
        start, end = max(size - int(last), 0), size - 1
    if start > end:
        raise OutOfRange(f"range {header} lies outside the object's {size} bytes", size=size)
    return start, end - start + 1
