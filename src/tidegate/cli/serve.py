"""`tidegate serve`: a supervisor over the serving processes and the controller process."""

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import click
import msgspec

from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Invalid, Refused
from tidegate.kernel.settings import Settings, find_home, resolve

_READY_SECONDS = 60.0
ADDRESS_FILE = "server.json"

PINNED_THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)
"""One thread a pool in each process: with OpenMP's default a model was seen 40 times slower."""


@click.command()
@click.option("--home", metavar="DIR", help="The home; else TIDEGATE_HOME, or the nearest .tidegate upwards.")
@click.option("--host", help="Address to bind (default 127.0.0.1). Anything but loopback needs --auth token.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to bind (default 8000; 0 chooses a free one).")
@click.option("--workers", type=click.IntRange(1, 64), help="Serving processes (default 1).")
@click.option("--auth", type=click.Choice(["local", "token"]), help="'token': every request needs one.")
@click.option("--simulated-clock", is_flag=True, help="Only where this creates the home: business time is simulated.")
def serve(simulated_clock: bool, **arguments: Any) -> None:
    """Run the server of a home, until SIGTERM or Ctrl-C.

    Serving processes answer requests; one controller process does what happens by itself. What dies is started
    again, and goes on where it was.
    """
    settings = resolve(arguments).settings
    settings = msgspec.structs.replace(settings, home=str(find_home(settings)), url="")
    _prepare(settings, simulated_clock)
    from tidegate.http.address import listen
    from tidegate.loop.supervisor import Spawn, Supervisor

    reserved = listen(settings.host, settings.port)  # holds the port while processes come and go
    settings = msgspec.structs.replace(settings, port=reserved.getsockname()[1])
    metrics = Path(settings.home) / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    environment = dict(PINNED_THREADS)
    if settings.workers > 1:
        metrics.mkdir()
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    message = msgspec.json.encode(settings)
    spawns = [
        Spawn(f"serving-{number}", [sys.executable, "-m", "tidegate.http.server"], environment, message)
        for number in range(1, settings.workers + 1)
    ]
    controllers = [sys.executable, "-m", "tidegate.workspace.controlling"]
    spawns.append(Spawn("controllers", controllers, dict(PINNED_THREADS), message))
    supervisor = Supervisor(spawns, SystemClock())
    announce = threading.Thread(target=_announce, args=(settings, supervisor), daemon=True)
    announce.start()
    try:
        supervisor.run()
    finally:
        (Path(settings.home) / ADDRESS_FILE).unlink(missing_ok=True)
        reserved.close()


def _prepare(settings: Settings, simulated_clock: bool) -> None:
    """Refuse what must not be served, and make the home before any process needs it."""
    from tidegate.http.address import LOOPBACK

    if settings.host not in LOOPBACK and settings.auth != "token":
        raise Refused(
            f"{settings.host} can be reached by others, and this home asks nobody who they are. Add people with "
            "'tidegate people add NAME --role admin', then serve with --auth token"
        )
    address = Path(settings.home) / ADDRESS_FILE
    if address.exists():
        other = json.loads(address.read_text())
        if _alive(other["pid"]):
            raise Invalid(f"this home is served already, at {other['url']} by process {other['pid']}")
    from tidegate.workspace import open_local

    existed = (Path(settings.home) / "catalog.db").exists()
    if simulated_clock and existed:
        raise Invalid("--simulated-clock decides when a home is created, and this one exists; choose another --home")
    with open_local(settings, simulated_clock or None) as workspace:
        workspace.check_ready()


def _announce(settings: Settings, supervisor: Any) -> None:
    from tidegate.http.address import url_of, wait_ready

    url = url_of(settings)
    if not wait_ready(url, _READY_SECONDS):
        click.echo(f"error: the server at {url} was not ready within {_READY_SECONDS:.0f} s; see above", err=True)
        supervisor.stop()
        return
    address = Path(settings.home) / ADDRESS_FILE
    address.write_text(json.dumps({"pid": os.getpid(), "url": url, "processes": supervisor.pids()}))
    click.echo(f"Tidegate serves {settings.home} at {url}")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
