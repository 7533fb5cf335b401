"""Tracks runs with the real MLflow client, as its users do, and prints what came of it."""

import json
import math
import os
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException


def refused(act):
    """The error code of a call that must fail."""
    try:
        act()
    except MlflowException as error:
        return error.error_code
    return "went through"


def experiments(client):
    made = client.create_experiment("/Users/somebody/late arrivals", tags={"team": "ops"})
    twice = refused(lambda: client.create_experiment("/Users/somebody/late arrivals"))
    client.rename_experiment(made, "arrivals")
    client.set_experiment_tag(made, "stage", "first")
    found = client.get_experiment_by_name("arrivals")
    other = client.create_experiment("other")
    client.delete_experiment(other)
    return {
        "id": made == found.experiment_id,
        "twice": twice,
        "tags": found.tags,
        "deleted": client.get_experiment(other).lifecycle_stage,
        "deleted name": refused(lambda: client.create_experiment("other")),
        "active": sorted(one.name for one in client.search_experiments()),
        "gone": [one.name for one in client.search_experiments(view_type=ViewType.DELETED_ONLY)],
        "restored": client.restore_experiment(other) or client.get_experiment(other).lifecycle_stage,
        "nobody": client.get_experiment_by_name("nobody's"),
        "unknown": refused(lambda: client.get_experiment("12345")),
    }


def fluent():
    mlflow.set_experiment("fluent")
    with mlflow.start_run(run_name="outer", tags={"a": "b"}) as outer:
        mlflow.log_param("depth", 3)
        mlflow.log_params({"rate": 0.1, "on": True})
        for step in range(5):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        mlflow.log_metrics({"auc": 0.75, "nan": math.nan, "inf": math.inf})
        mlflow.set_tag("note", "fluent")
        with mlflow.start_run(run_name="inner", nested=True) as inner:
            mlflow.log_metric("loss", 2.0)
    client = mlflow.MlflowClient()
    found = client.get_run(outer.info.run_id)
    again = client.get_run(inner.info.run_id)
    return {
        "id": found.info.run_id,
        "name": found.info.run_name,
        "status": found.info.status,
        "ended": found.info.end_time >= found.info.start_time,
        "params": found.data.params,
        "metrics": {name: str(value) for name, value in found.data.metrics.items()},
        "tags": {name: found.data.tags.get(name) for name in ("a", "note", "mlflow.runName")},
        "parent": again.data.tags["mlflow.parentRunId"] == found.info.run_id,
        "history": [(one.step, one.value) for one in client.get_metric_history(found.info.run_id, "loss")],
    }


def calls(client):
    experiment = client.create_experiment("calls")
    run = client.create_run(experiment, start_time=1_700_000_000_000, tags={"x": "y"})
    run_id = run.info.run_id
    metrics = [Metric("m", float(step), 1_700_000_000_000 + step, step) for step in range(1000)]
    client.log_batch(run_id, metrics=metrics)
    client.log_batch(run_id, params=[Param("p", "1")], tags=[RunTag("t", "1")])
    conflict = refused(lambda: client.log_batch(run_id, params=[Param("q", "1"), Param("p", "2")]))
    client.log_param(run_id, "p", "1")
    client.delete_tag(run_id, "t")
    client.set_terminated(run_id, "FAILED", end_time=1_700_000_060_000)
    client.log_metric(run_id, "late", 1.0)
    client.update_run(run_id, status="RUNNING", name="renamed")
    after = client.get_run(run_id)
    client.delete_run(run_id)
    deleted = client.get_run(run_id).info.lifecycle_stage
    while_deleted = refused(lambda: client.log_metric(run_id, "late", 2.0))
    client.restore_run(run_id)
    return {
        "start": after.info.start_time,
        "params": after.data.params,
        "tags": {name: text for name, text in after.data.tags.items() if not name.startswith("mlflow.")},
        "latest": after.data.metrics["m"],
        "late": after.data.metrics["late"],
        "name": after.info.run_name,
        "status": after.info.status,
        "conflict": conflict,
        "deleted": deleted,
        "while deleted": while_deleted,
        "unknown": refused(lambda: client.get_run("0" * 32)),
        "history": len(client.get_metric_history(run_id, "m")),
        "too many": refused(lambda: client.log_batch(run_id, params=[Param(str(one), "1") for one in range(101)])),
        "restored": client.get_run(run_id).info.lifecycle_stage,
    }


def main() -> None:
    """Input: `{"address": "http://127.0.0.1:8000"}`. Output: what each part found."""
    given = json.load(sys.stdin)
    mlflow.set_tracking_uri(given["address"])
    client = mlflow.MlflowClient()
    print(json.dumps({"experiments": experiments(client), "fluent": fluent(), "calls": calls(client)}))


if __name__ == "__main__":
    main()
