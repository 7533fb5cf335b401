"""A serving process: ``python -m tidegate.http.server``, its settings as a line of JSON on standard input.

Several may serve one port: each has a socket of its own (SO_REUSEPORT), and the kernel spreads connections.
"""

import logging

import msgspec
import uvicorn

from tidegate.compat.inference import inference_routes
from tidegate.compat.mlflow import MlflowRest
from tidegate.endpoints.asgi import HotPath
from tidegate.http.address import LOOPBACK, listen
from tidegate.http.app import Application
from tidegate.http.identity import HeaderAuthenticator
from tidegate.http.meter import PrometheusMeter, PrometheusServingMeter
from tidegate.http.protocol import Protocol
from tidegate.kernel.settings import Settings
from tidegate.loop.supervisor import end_with_parent, read_message, settle
from tidegate.workspace import LocalWorkspace, open_local

BACKLOG = 2048


def application(workspace: LocalWorkspace) -> HotPath:
    """The whole ASGI application of a workspace: the hot path first, then foreign clients' calls, then all else."""
    settings = workspace.settings
    authenticator = HeaderAuthenticator(
        workspace.authority.person_of,
        workspace.storage.clock,
        workspace.storage.machine,
        trust_loopback=settings.auth == "local" and settings.host in LOOPBACK,
    )
    operations = Application(workspace, authenticator).build(inference_routes(workspace, authenticator))
    return HotPath(
        workspace.engine,
        authenticator,
        MlflowRest(workspace, authenticator, operations),
        authorise=workspace.dispatcher.authorise,
        meter=PrometheusServingMeter(),
        machine=workspace.storage.machine,
        body_bytes=settings.body_megabytes << 20,
    )


def configuration(app: HotPath) -> uvicorn.Config:
    """How uvicorn serves an application of ours."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        loop="uvloop",
        http=Protocol,
        ws="none",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,  # clients reuse a connection that rested: it must outlive their own patience
        backlog=BACKLOG,
    )


def main() -> None:
    """Serve until SIGTERM, or until the supervisor is gone."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = msgspec.json.decode(read_message(), type=Settings)
    end_with_parent()
    with open_local(settings, meter=PrometheusMeter(), part="serving") as workspace:
        workspace.engine.start()
        bound = listen(settings.host, settings.port)
        bound.listen(BACKLOG)
        server = uvicorn.Server(configuration(application(workspace)))
        settle()
        server.run(sockets=[bound])


if __name__ == "__main__":
    main()
