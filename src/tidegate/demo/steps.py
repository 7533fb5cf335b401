"""The steps of the pipeline that trains the demo's model anew, whenever the policy says so.

What they train with is imported here, so that the process of the pipeline has it before the first run.
"""

import functools
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars  # noqa: F401
import sklearn.ensemble  # noqa: F401

from tidegate.demo.training import CANARY, HELD_OUT, HISTORY, Upstream, fit, judge, learnable
from tidegate.pipelines.records import Wait
from tidegate.pipelines.running import StepContext
from tidegate.workspace import Workspace

if TYPE_CHECKING:
    from tidegate.features.training import TrainingSet


def fresh_data(context: StepContext) -> dict[str, object]:
    """Commit what the source systems knew when the run was started; a feed that breaks its contract ends it here."""
    upstream = Upstream(Path(str(context.params["upstream"])))
    ws, known_by = context.workspace, context.started_at
    flown = ws.data.commit("flights", upstream.flights(known_by))
    landed = ws.data.commit("landings", upstream.landings(known_by))
    weather = ws.data.commit("weather", upstream.weather(known_by))
    return {"flights": str(flown), "landings": str(landed), "weather": str(weather), "known_by": known_by.isoformat()}


def train(context: StepContext) -> dict[str, object]:
    """Train on all but the newest flights."""
    rows, _ = _rows(context.workspace, context.started_at)
    version = fit(context.workspace, rows, note=str(context.params.get("reason", "")))
    return {"version": version.reference, "rows": len(rows.y), "digest": rows.digest}


def check(context: StepContext) -> dict[str, object]:
    """Compare with the champion on the newest flights. A candidate that is not shown to be good enough ends here."""
    version = context.workspace.models.resolve(str(context.outputs["train"]["version"]))
    _, held_out = _rows(context.workspace, context.started_at)
    report = judge(context.workspace, version, held_out).require()
    return {"report": report.id, "verdict": report.verdict, "reason": report.reason, "n": report.figures.n}


def approval(context: StepContext) -> dict[str, object] | Wait:
    """Wait until a second person has approved."""
    reference = str(context.outputs["train"]["version"])
    standing = context.workspace.approvals.standing(reference)
    if not any(each.verdict == "pass" for each in standing):
        return Wait(f"a second person must approve {reference}: tidegate approvals approve {reference} --reason TEXT")
    return {"by": [each.by for each in standing if each.verdict == "pass"]}


def release(context: StepContext) -> dict[str, object]:
    """Promote, and let it out as a canary. Told twice, it does it once."""
    ws = context.workspace
    version = ws.models.resolve(str(context.outputs["train"]["version"]))
    if version.stage != "production":
        ws.models.promote(version.name, version.number, to="production")
    deployment = ws.endpoints.deploy(str(context.params["endpoint"]), version.reference, strategy=CANARY)
    return {"deployment": deployment.id}


@functools.lru_cache(1)
def _rows(workspace: Workspace, now: datetime) -> "tuple[TrainingSet, TrainingSet]":
    """What is learnt from, and what candidates are judged on: joined once, unless a kill came between the steps."""
    return learnable(workspace, now, now - HISTORY).split(before=now - HELD_OUT)
