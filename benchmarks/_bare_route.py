"""A Starlette application of one route that answers what it read as its first line, for `operations.py`."""

import asyncio
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWER = sys.stdin.buffer.readline().strip()


async def bare(request: Request) -> Response:
    """Take the body, if there is one, and answer."""
    await request.body()
    return Response(ANSWER, media_type="application/json")


if __name__ == "__main__":
    config = uvicorn.Config(
        Starlette(routes=[Route("/bare", bare, methods=["GET", "POST"])]),
        port=int(sys.argv[1]),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        loop="uvloop",
        http="httptools",
    )
    asyncio.run(uvicorn.Server(config).serve())
