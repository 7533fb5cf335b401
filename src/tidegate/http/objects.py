"""The object plane: bytes by digest, streamed, in ranges, verified."""

import re
from collections.abc import AsyncIterator, Iterator

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tidegate.http.routes import PREFIX, Identify
from tidegate.kernel import wire
from tidegate.kernel.context import Role
from tidegate.kernel.dispatch import Dispatcher
from tidegate.kernel.errors import Invalid
from tidegate.kernel.objects import ObjectInfo, ObjectPlane

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


class OutOfRange(Invalid):
    """The range lies outside the object."""

    status = 416


class ObjectRoutes:
    """``GET``, ``HEAD`` and ``PUT /api/v1/objects/{digest}``."""

    def __init__(self, objects: ObjectPlane, dispatcher: Dispatcher, identify: Identify) -> None:
        self._objects = objects
        self._dispatcher = dispatcher
        self._identify = identify

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
        start, length = _range(request.headers.get("range"), info.size)
        if length != info.size or start:
            headers["content-range"] = f"bytes {start}-{start + length - 1}/{info.size}"
        status = 206 if "content-range" in headers else 200
        headers["content-length"] = str(length)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        chunks: Iterator[bytes] = await to_thread.run_sync(
            lambda: iter(self._objects.stream(digest, start=start, length=length) if length else ())
        )
        return StreamingResponse(chunks, status_code=status, headers=headers, media_type="application/octet-stream")

    async def _put(self, request: Request) -> Response:
        await self._allow(request, "contributor", "store objects")
        body: AsyncIterator[bytes] = aiter(request.stream())

        async def following() -> bytes | None:
            return await anext(body, None)

        def chunks() -> Iterator[bytes]:
            while (chunk := anyio.from_thread.run(following)) is not None:
                if chunk:
                    yield chunk

        digest = request.path_params["digest"]
        info = await to_thread.run_sync(lambda: self._objects.put(chunks(), expect=digest))
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
    if not first:
        length = min(int(last), size)
        return size - length, length
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if start >= size or end < start:
        raise OutOfRange(f"range {header} lies outside the object's {size} bytes", size=size)
    return start, end - start + 1
