"""The demo: a year of flights through one home, told as it happens and summed up at the end."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.demo import flights, summary
from tidegate.demo.journey import Journey
from tidegate.demo.learning import Begun, begin
from tidegate.demo.ledger import auc_by_month, reconcile, surest_delay
from tidegate.demo.plan import AUTHOR, Plan
from tidegate.demo.report import DemoReport, DemoRollout, Refusals
from tidegate.demo.server import DemoServer
from tidegate.demo.telling import Say
from tidegate.demo.training import ENDPOINT
from tidegate.kernel import wire
from tidegate.kernel.errors import Invalid, Unavailable
from tidegate.loop.records import Why
from tidegate.loop.why import tell
from tidegate.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import polars as pl

Progress = Callable[[int, int], None]
"""Takes the days that are done, and those that there are."""


def run_demo(home: Path, plan: Plan, say: Say, progress: Progress, *, keep: bool = False) -> DemoReport:
    """Everything, computed now. Makes the home; stops the server again unless ``keep``.

    Raises `Invalid` where the home exists already or cannot be one, `Unavailable` without scikit-learn.
    """
    if find_spec("sklearn") is None or find_spec("skl2onnx") is None:
        raise Unavailable("the demo trains with scikit-learn and needs the extra: pip install 'tidegate[sklearn]'")
    if (home / "catalog.db").exists():
        raise Invalid(f"there is a home at {home} already, and the demo makes its own: give --home a new folder")
    server = DemoServer(home)
    done = False
    try:
        report = _run(home, plan, server, (say, progress))
        done = True
    finally:
        if not (keep and done):
            server.stop()
    return report


def _run(home: Path, plan: Plan, server: DemoServer, told: tuple[Say, Progress]) -> DemoReport:
    started = time.perf_counter()
    say, progress = told
    tables = flights.schedule(), flights.weather()
    with open_workspace(home, simulated_clock=True, catalog="", objects="", actor=AUTHOR) as ws:
        ws.loop.tick(until=plan.since)
        server.launch()  # it starts while the model is made
        begun = begin(ws, home, plan, tables, say)
        server.wait()
        say("chapter", f"The year: every flight from {plan.since:%d %B} on, hour by hour, through {server.url}/")
        journey = Journey(ws, home, server=server, plan=plan, tables=tables, begun=begun, say=say)
        journey.run(progress)
        return _sum_up(ws, server, journey, begun, (say, started))


def _sum_up(
    ws: Workspace, server: DemoServer, journey: Journey, begun: Begun, telling: tuple[Say, float]
) -> DemoReport:
    say, started = telling
    plan = journey.plan
    with ThreadPoolExecutor(1) as beside:
        keeping = beside.submit(journey.replay.kept)
        log = ws.predictions.scan(ENDPOINT).collect()
        kept = keeping.result()
    found = reconcile(log, kept)
    say("chapter", "Summary")
    say(
        "done" if not found.lost and not found.doubled else "killed",
        f"{found.acknowledged:,} predictions and {kept.labels.height:,} labels acknowledged and looked up: "
        f"{found.lost} lost, {found.doubled} doubled",
    )
    months = auc_by_month(log, begun.version.reference)
    say("plain", summary.months_table(months))
    rollouts = summary.rollouts_of(ws)
    days = _days_to_production(rollouts, say)
    why = _explain(server, surest_delay(log), say)
    refusals = Refusals(
        damaged_copy=begun.damaged_copy,
        early_promotion=begun.early_promotion,
        author_approval=begun.author_approval,
        leaky_gate=journey.leaky_gate,
        broken_feed=journey.broken_feed,
    )
    leaky = [each for each in rollouts if each.started_at >= plan.leaky]
    stopped = bool(leaky) and leaky[0].outcome == "rolled_back"
    return DemoReport(
        held=not found.lost and not found.doubled and stopped and all(_texts(refusals)),
        home=str(journey.home),
        url=f"{server.url}/",
        pid=server.pid,
        since=plan.since,
        until=plan.until,
        requests=kept.requests,
        rows=_due(plan, journey.schedule),
        acknowledged=found.acknowledged,
        lost=found.lost,
        doubled=found.doubled,
        unacknowledged=found.unacknowledged,
        retried=kept.retried,
        labels_joined=found.labels_joined,
        models=summary.versions_of(ws),
        rollouts=rollouts,
        episodes=summary.episodes_of(ws),
        incidents=summary.incidents_of(ws),
        retrainings=summary.retrainings_of(ws),
        auc_by_month=months,
        leak=journey.leak,
        refusals=refusals,
        restarts=tuple(journey.restarts),
        days_to_production=days,
        why=json.loads(wire.encode(why, Why)),
        seconds=time.perf_counter() - started,
    )


def _days_to_production(rollouts: Sequence[DemoRollout], say: Say) -> float | None:
    """From a model that has passed its gate and been approved until it answers everything: the median."""
    days = [each.days for each in rollouts if each.outcome == "promoted" and each.days is not None]
    if not days:
        return None
    median = statistics.median(days)
    canaries = f"median of {len(days)} canaries" if len(days) > 1 else "one canary"
    say("plain", f"from a validated model to full production: {median:.1f} days ({canaries})")
    return median


def _explain(server: DemoServer, prediction_id: str, say: Say) -> Why:
    """Walk back, over HTTP, from one prediction."""
    with open_workspace(server.url, token="") as remote:
        why = remote.loop.why(prediction_id)
    say("chapter", f"tidegate why {prediction_id}")
    say("plain", tell(why))
    return why


def _due(plan: Plan, schedule: "pl.DataFrame") -> int:
    """How many flights were due in the plan's days."""
    departs = schedule[flights.DEPARTS]
    return int(((departs >= plan.since) & (departs < plan.until)).sum())


def _texts(refusals: Refusals) -> list[Any]:
    return [getattr(refusals, name) for name in refusals.__struct_fields__]
