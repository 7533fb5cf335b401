"""`tidegate serve`: a supervisor over the serving processes and the controller process."""

import fcntl
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Conflict, Invalid, Refused
from tidegate.kernel.settings import Settings, find_home, resolve

_READY_SECONDS = 60.0
_ORPHAN_SECONDS = 15.0
ADDRESS_FILE = "server.json"
LOCK_FILE = "serve.lock"


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
    _check_reach(settings)
    with _hold(Path(settings.home), simulated_clock):
        sys.exit(_run(settings, simulated_clock))


def _run(settings: Settings, simulated_clock: bool) -> int:
    """Supervise until the end; the exit code."""
    address = Path(settings.home) / ADDRESS_FILE
    orphaned = address.exists()  # whoever wrote it was killed: its children may still drain
    address.unlink(missing_ok=True)
    _prepare(settings, simulated_clock)
    from tidegate.http.address import reserve
    from tidegate.loop.supervisor import Supervisor

    reserved = reserve(settings.host, settings.port, _ORPHAN_SECONDS if orphaned else 0.0)
    settings = msgspec.structs.replace(settings, port=reserved.getsockname()[1])
    supervisor = Supervisor(_spawns(settings), SystemClock())
    failed = threading.Event()
    threading.Thread(target=_announce, args=(settings, supervisor, failed), daemon=True).start()
    try:
        supervisor.run()
    finally:
        address.unlink(missing_ok=True)
        reserved.close()
    return 1 if failed.is_set() else 0


def _spawns(settings: Settings) -> list[Any]:
    """The processes to keep alive."""
    from tidegate.loop.supervisor import Spawn
    from tidegate.loop.threads import one_thread

    metrics = Path(settings.home) / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    environment = one_thread()
    if settings.workers > 1:
        metrics.mkdir()
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    message = msgspec.json.encode(settings)
    spawns = [
        Spawn(f"serving-{number}", [sys.executable, "-m", "tidegate.http.server"], environment, message)
        for number in range(1, settings.workers + 1)
    ]
    controllers = [sys.executable, "-m", "tidegate.workspace.controlling"]
    return [*spawns, Spawn("controllers", controllers, one_thread(), message)]


def _check_reach(settings: Settings) -> None:
    """Refuse to be reached by others without knowing who they are."""
    from tidegate.http.address import LOOPBACK

    if settings.host not in LOOPBACK and settings.auth != "token":
        raise Refused(
            f"{settings.host} can be reached by others, and this home asks nobody who they are. Add people with "
            "'tidegate people add NAME --role admin', then serve with --auth token"
        )


def _hold(home: Path, simulated_clock: bool) -> IO[str]:
    """The lock of the one server of a home; the kernel frees it, however that server ends."""
    if simulated_clock and (home / "catalog.db").exists():
        raise Invalid("--simulated-clock decides when a home is created, and this one exists; choose another --home")
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = (home / LOCK_FILE).open("w")
    except OSError as error:
        raise Invalid(f"home {home} cannot be written ({error.strerror}); choose another with --home") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held.close()
        other = _address(home)
        where = f"at {other['url']} by process {other['pid']}" if other else "by a server that is still starting"
        raise Conflict(f"the home {home} is served already, {where}; stop that one first, or choose another") from error
    return held


def _address(home: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((home / ADDRESS_FILE).read_text())
    except (OSError, ValueError):
        return None
    return found


def _prepare(settings: Settings, simulated_clock: bool) -> None:
    """Make the home before any process needs it, and say here what is wrong with it."""
    from tidegate.workspace import open_local

    with open_local(settings, simulated_clock or None) as workspace:
        workspace.check_ready()


def _announce(settings: Settings, supervisor: Any, failed: threading.Event) -> None:
    from tidegate.http.address import url_of, wait_ready

    url = url_of(settings)
    if not wait_ready(url, _READY_SECONDS):
        click.echo(f"error: the server at {url} was not ready within {_READY_SECONDS:.0f} s; see above", err=True)
        failed.set()
        supervisor.stop()
        return
    written = Path(settings.home) / (ADDRESS_FILE + ".new")
    written.write_text(json.dumps({"pid": os.getpid(), "url": url, "processes": supervisor.pids()}))
    written.rename(Path(settings.home) / ADDRESS_FILE)
    click.echo(f"Tidegate serves {settings.home} at {url}")
