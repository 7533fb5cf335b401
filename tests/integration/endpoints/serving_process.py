"""A serving process for tests: ``python -m tests.integration.endpoints.serving_process FOLDER PORT BODY_BYTES``.

The home in FOLDER must have its endpoints already. Prints ``ready`` when it listens.
"""

import asyncio
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.contract.endpoints.serving_home import ServingHome
from tidegate.compat.inference import OpenInference
from tidegate.endpoints.admission import Admission
from tidegate.endpoints.asgi import HotPath
from tidegate.endpoints.meter import TrafficMeter
from tidegate.kernel.context import Call
from tidegate.kernel.errors import Unauthenticated


class OpenDoor:
    """Believes a request without a token to be of `local`, and a token to be a person's name."""

    def identify(self, headers: Mapping[str, str]) -> Call:
        """The call that these headers describe."""
        scheme, _, person = headers.get("authorization", "Bearer local").partition(" ")
        if scheme != "Bearer" or not person:
            raise Unauthenticated("send 'Authorization: Bearer TOKEN'")
        return Call(actor=person)


def application(home: ServingHome, body_bytes: int) -> HotPath:
    """The hot path before the Open Inference routes."""
    meter = TrafficMeter()

    async def traffic(_request: Any) -> PlainTextResponse:
        lines = [f"{one.endpoint} {one.action} {one.code} {one.requests}" for one in meter.traffic()]
        return PlainTextResponse("\n".join(lines))

    authorise = home.dispatcher.authorise
    admission = Admission(OpenDoor(), authorise, home.machine)
    routes = [*OpenInference(home.engine, admission, body_bytes).routes(), Route("/traffic", traffic)]
    return HotPath(
        home.engine,
        OpenDoor(),
        Starlette(routes=routes),
        authorise=authorise,
        meter=meter,
        machine=home.machine,
        body_bytes=body_bytes,
    )


async def serve(folder: Path, port: int, body_bytes: int) -> None:
    """Serve until the process ends."""
    home = ServingHome(folder)
    home.roles.granted["viewer"] = frozenset({"viewer"})
    config = uvicorn.Config(
        application(home, body_bytes),
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        loop="uvloop",
        http="httptools",
    )
    server = uvicorn.Server(config)
    running = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await running


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
