"""Experiments, runs and measurements as the protocol shows them. Moments are milliseconds; 64-bit integers numbers."""

from datetime import datetime
from itertools import repeat
from math import isfinite
from typing import Any, Final

import msgspec

from tidegate.compat.mlflow.rules import STATUSES
from tidegate.kernel.clock import to_micros
from tidegate.runs.records import Experiment, Foreign, Measurements, Metric, Run, RunInput, Status

RUN_NAME: Final = "mlflow.runName"
PARENT: Final = "mlflow.parentRunId"

SHOWN: Final = ("params", "metrics", "tags", "inputs")
"""The parts of a run that are shown."""

SPELT: Final[dict[Status, str]] = {status: spelling for spelling, status in STATUSES.items()}
"""Statuses as the protocol spells them."""


def millis(moment: datetime | None) -> int | None:
    """A moment as the protocol has it."""
    return None if moment is None else to_micros(moment) // 1000


def experiment_view(experiment: Experiment) -> dict[str, Any]:
    """An experiment."""
    return {
        "experiment_id": experiment.id,
        "name": experiment.name,
        "artifact_location": f"mlflow-artifacts:/{experiment.id}",
        "lifecycle_stage": "deleted" if experiment.deleted_at is not None else "active",
        "last_update_time": millis(experiment.updated_at),
        "creation_time": millis(experiment.created_at),
        "tags": pairs(experiment.tags),
    }


def run_view(run: Run) -> dict[str, Any]:
    """A run with the latest measurements."""
    name = run.name or run.id[-8:]
    own = {RUN_NAME: name} | ({PARENT: run.parent} if run.parent else {})
    return {
        "info": {
            "run_id": run.id,
            "run_uuid": run.id,
            "run_name": name,
            "experiment_id": run.experiment_id,
            "user_id": run.actor,
            "status": SPELT[run.status],
            "start_time": millis(run.started_at),
            **({"end_time": millis(run.ended_at)} if run.ended_at is not None else {}),
            "artifact_uri": f"mlflow-artifacts:/{run.experiment_id}/{run.id}/artifacts",
            "lifecycle_stage": "deleted" if run.deleted_at is not None else "active",
        },
        "data": {
            "metrics": [metric_view(metric) for metric in run.latest],
            "params": [{"key": name, "value": _text(value)} for name, value in run.params.items()],
            "tags": pairs(own | run.tags),
        },
        "inputs": {"dataset_inputs": [_input(one) for one in run.inputs]},
    }


class MetricView(msgspec.Struct, omit_defaults=True, gc=False):
    """A measurement; what does not belong to it is left out. A record: a history has thousands, and dicts are slow."""

    key: str
    value: float | str
    timestamp: int | None
    step: int
    run_id: str = ""
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


def metric_view(metric: Metric) -> MetricView:
    """A measurement."""
    return MetricView(metric.name, spelt(metric.value), millis(metric.at), metric.step)


def measured(found: Measurements, run_id: str = "") -> list[MetricView]:
    """Measurements of one metric."""
    values = found.values if all(map(isfinite, found.values)) else map(spelt, found.values)
    times = [micros // 1000 for micros in found.micros]
    return list(map(MetricView, repeat(found.name), values, times, found.steps, repeat(run_id)))


def spelt(value: float) -> float | str:
    """A number, or the text by which JSON has it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def pairs(texts: dict[str, str]) -> list[dict[str, str]]:
    """Tags."""
    return [{"key": name, "value": text} for name, text in texts.items()]


def _input(given: RunInput) -> dict[str, Any]:
    """A dataset that went in. The protocol has 36 characters for a digest."""
    told = given.foreign or Foreign(source_type="tidegate", source=f"tidegate:{given.digest}")
    said = {name: text for name in ("source_type", "source", "schema", "profile") if (text := getattr(told, name))}
    return {"dataset": {"name": given.label, "digest": given.digest[:36], **said}, "tags": pairs(told.tags)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)
