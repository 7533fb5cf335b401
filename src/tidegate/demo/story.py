"""The demo: one model from raw flights to a monitored answer, through two kills of its server."""

import json
import time
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from tidegate.demo.learning import APPROVER, AUTHOR, learn
from tidegate.demo.ledger import reconcile
from tidegate.demo.report import DemoReport
from tidegate.demo.server import DemoServer
from tidegate.demo.serving import ENDPOINT, explain, quality, serve, trips
from tidegate.demo.telling import Say
from tidegate.kernel import wire
from tidegate.kernel.errors import Invalid, Unavailable
from tidegate.loop.records import Why
from tidegate.workspace import open_workspace


def run_demo(home: Path, say: Say, *, keep: bool = False) -> DemoReport:
    """Everything, computed now. Makes the home; stops the server again unless ``keep``.

    Raises `Invalid` where the home exists already, `Unavailable` without scikit-learn.
    """
    if find_spec("sklearn") is None or find_spec("skl2onnx") is None:
        raise Unavailable("the demo trains with scikit-learn and needs the extra: pip install 'tidegate[sklearn]'")
    if (home / "catalog.db").exists():
        raise Invalid(f"there is a home at {home} already, and the demo makes its own: give --home a new folder")
    home.mkdir(parents=True, exist_ok=True)
    server = DemoServer(home)
    done = False
    try:
        report = _run(home, server, say)
        done = True
    finally:
        if not (keep and done):
            server.stop()
    return report


def _run(home: Path, server: DemoServer, say: Say) -> DemoReport:
    started = time.perf_counter()
    with open_workspace(home, simulated_clock=True, catalog="", objects="", actor=AUTHOR) as ws:
        flown = trips()
        ws.loop.tick(until=flown[0].at - timedelta(hours=1))
        server.launch()  # it starts while the model is made
        learnt = learn(ws, home, say)
        traffic, restarts = serve(ws, server, flown, say)
        log = ws.predictions.scan(ENDPOINT).collect().to_dicts()
        found = reconcile(log, flown, traffic.answers, traffic.labels)
        told = f"{found.acknowledged:,} predictions and {len(traffic.labels):,} labels acknowledged and looked up"
        say("done", f"{told}: {found.lost} lost, {found.doubled} doubled ({traffic.retried_rows} asked again)")
        windows = quality(ws, found.acknowledged + found.unacknowledged, len(traffic.labels), say)
    why = explain(server, traffic, flown, say)
    landed = sum(trip.late is not None for trip in flown)
    return DemoReport(
        held=not found.lost and not found.doubled and (found.acknowledged, len(traffic.labels)) == (len(flown), landed),
        home=str(home),
        url=f"{server.url}/",
        pid=server.pid,
        rows=learnt.rows,
        model=learnt.model,
        gate=learnt.gate,
        approver=APPROVER,
        refusals=learnt.refusals,
        acknowledged=found.acknowledged,
        lost=found.lost,
        doubled=found.doubled,
        unacknowledged=found.unacknowledged,
        retried=traffic.retried_rows,
        retried_requests=traffic.retried_requests,
        labels=len(traffic.labels),
        quality=windows,
        why=json.loads(wire.encode(why, Why)),
        restarts=restarts,
        restart_seconds=max(restart.seconds for restart in restarts),
        seconds=time.perf_counter() - started,
    )
