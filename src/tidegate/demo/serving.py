"""The demo's second half: a real server, real traffic, two kills in the middle of it, and what was kept."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tidegate.demo import flights
from tidegate.demo.learning import MODEL
from tidegate.demo.report import Bounded, DemoWindow, Restart
from tidegate.demo.server import DemoServer
from tidegate.demo.telling import Say
from tidegate.demo.traffic import Traffic, Trip
from tidegate.kernel.errors import Conflict, Unavailable
from tidegate.loop.records import Why
from tidegate.loop.why import tell
from tidegate.monitors.records import Estimate, QualityWindow
from tidegate.workspace import Workspace, open_workspace

ENDPOINT = "late-arrival"
_QUALITY_SECONDS = 60.0


class Kill(NamedTuple):
    """A way to kill, and what a person would do then; the supervisor restores a process without being asked."""

    what: str
    kill: Callable[[], None]
    restore: Callable[[], None]


def trips() -> list[Trip]:
    """The flights to serve, as a client has them."""
    return [
        Trip(each[flights.ORDER], {name: each[name] for name in flights.FEATURES}, each["arrived_at"], each["late"])
        for each in flights.traffic().iter_rows(named=True)
    ]


def serve(ws: Workspace, server: DemoServer, flown: Sequence[Trip], say: Say) -> tuple[Traffic, tuple[Restart, ...]]:
    """Deploy, and let all traffic through in spite of two kills."""
    say("chapter", f"Traffic: {len(flown):,} flights as they depart, labels as they land, and kill -9 in the middle")
    deployment = ws.endpoints.deploy(ENDPOINT, MODEL)
    server.wait()
    say("done", f"{deployment.version} answers; status page: {server.url}/")
    traffic = Traffic(server.port, ENDPOINT, flown)
    try:
        traffic.start()
        restarts = (
            _kill(Kill("the serving process", server.kill_serving, lambda: None), traffic, len(flown) // 3, say),
            _kill(Kill("the whole server", server.kill_everything, server.start), traffic, len(flown) * 2 // 3, say),
        )
        traffic.finish()
    finally:
        traffic.stop()
    return traffic, restarts


def quality(ws: Workspace, predictions: int, labels: int, say: Say) -> tuple[DemoWindow, ...]:
    """The windows of quality, once the controller has counted everything. Raises `Unavailable` when it does not."""
    say("chapter", "Quality by day (UTC), each with its 95 % interval")
    give_up = time.monotonic() + _QUALITY_SECONDS
    while time.monotonic() < give_up:
        with contextlib.suppress(Conflict):  # while the server's controllers are at it
            ws.loop.tick()
        windows = sorted(ws.monitors.windows(ENDPOINT).items, key=lambda window: window.start)
        counted = sum(window.predictions for window in windows), sum(window.labels for window in windows)
        if counted == (predictions, labels):
            told = tuple(map(_window, windows))
            for window in told:
                say("done", _line(window))
            return told
        time.sleep(0.2)
    raise Unavailable(f"the controller has not counted every label within {_QUALITY_SECONDS:.0f} s")


def explain(server: DemoServer, traffic: Traffic, flown: Sequence[Trip], say: Say) -> Why:
    """Walk back, over HTTP, from the surest prediction of a delay that came true."""
    right = [answer for place, answer in traffic.answers.items() if flown[place].late and answer.value]
    surest = max(right, key=lambda answer: answer.probability)
    with open_workspace(server.url, token="") as remote:
        why = remote.loop.why(surest.id)
    say("chapter", f"tidegate why {surest.id}")
    say("plain", tell(why))
    return why


def _kill(kill: Kill, traffic: Traffic, after: int, say: Say) -> Restart:
    traffic.wait_for(after)
    before = len(traffic.answers)
    kill.kill()
    killed = time.perf_counter()
    kill.restore()
    seconds = traffic.wait_recovered(killed) - killed
    say("killed", f"kill -9 of {kill.what} after {before:,} predictions; the next one {seconds:.1f} s later")
    return Restart(killed=kill.what, acknowledged_before=before, seconds=seconds)


def _window(window: QualityWindow) -> DemoWindow:
    return DemoWindow(
        start=window.start,
        end=window.end,
        predictions=window.predictions,
        labels=window.labels,
        auc=_bounded(window.auc),
        accuracy=_bounded(window.accuracy),
        latency_p50_ms=window.latency_p50 / 1000,
        latency_p95_ms=window.latency_p95 / 1000,
    )


def _bounded(estimate: Estimate | None) -> Bounded | None:
    if estimate is None:
        return None
    return Bounded(estimate=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)


def _line(window: DemoWindow) -> str:
    figures = f"{window.predictions:4d} predicted, {window.labels:4d} landed"
    area = window.auc
    told = (
        f"AUC {area.estimate:.2f} ({area.low:.2f} to {area.high:.2f})"
        if area is not None and area.low == area.low
        else "too few for an AUC"
    )
    return f"{window.start:%d %B}  {figures}  {told}"
