"""Tracks runs with the real MLflow client, as its users do, and prints what came of it."""

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException


def refused(act: Callable[[], object]) -> str:
    """The error code of a call that must fail."""
    try:
        act()
    except MlflowException as error:
        return str(error.error_code)
    return "went through"


def experiments(client: mlflow.MlflowClient) -> dict[str, Any]:
    """Made, renamed, tagged, deleted, restored."""
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


def fluent() -> dict[str, Any]:
    """What a notebook does."""
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


def calls(client: mlflow.MlflowClient) -> dict[str, Any]:
    """What the client class does."""
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
        "restored": client.get_run(run_id).info.lifecycle_stage,
    }


def inputs(client: mlflow.MlflowClient) -> list[dict[str, Any]]:
    """Datasets that went into a run."""
    run_id = client.create_run("0").info.run_id
    dataset = Dataset("flights", "abc123", "local", '{"uri": "flights.parquet"}', "{}", "{}")
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    return [dict(one) | {"dataset": dict(one.dataset)} for one in client.get_run(run_id).inputs.dataset_inputs]


def search(client: mlflow.MlflowClient) -> dict[str, Any]:
    """Filters, orders and pages of runs."""
    experiment = client.create_experiment("search")
    for place in range(6):
        run_id = client.create_run(
            experiment, run_name=f"run {place}", tags={"team": "ops" if place % 2 else "Dev"}
        ).info.run_id
        client.log_metric(run_id, "auc", math.nan if place == 5 else place / 10)
        client.log_param(run_id, "depth", str(place))
        if place < 4:
            client.set_terminated(run_id, "FINISHED")

    def found(text: str, order: list[str] | None = None, **more: Any) -> list[str]:
        runs = client.search_runs([experiment], text, order_by=order or ["attributes.run_name ASC"], **more)
        return [str(run.info.run_name)[-1] for run in runs]

    first = client.search_runs([experiment], max_results=4, order_by=["metrics.auc DESC"])
    rest = client.search_runs([experiment], max_results=4, order_by=["metrics.auc DESC"], page_token=first.token)
    frame = mlflow.search_runs([experiment], "metrics.auc > 0.25", output_format="list")
    return {
        "metric": found("metrics.auc >= 0.2 and metrics.auc < 0.4"),
        "param": found("params.depth = '3'"),
        "tag": found("tags.team = 'ops'"),
        "like": found("tags.team LIKE 'D%'"),
        "ilike": found("tags.team ILIKE 'd%'"),
        "case": found("tags.team LIKE 'd%'"),
        "status": found("attributes.status = 'RUNNING'"),
        "name": found("attributes.run_name IN ('run 1', 'run 4')"),
        "null": found("params.nothing IS NULL and status = 'RUNNING'"),
        "order": [str(run.info.run_name)[-1] for run in [*first, *rest]],
        "tokens": [bool(first.token), bool(rest.token)],
        "fluent": sorted(str(run.info.run_name)[-1] for run in frame),
        "wrong": refused(lambda: found("metrics.auc > 'high'")),
        "broken": refused(lambda: found("metrics.auc >")),
    }


def artifacts(client: mlflow.MlflowClient) -> dict[str, Any]:
    """Files and texts, up and down."""
    run_id = client.create_run("0").info.run_id
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.bin"
        file.write_bytes(bytes(range(256)) * 40_000)
        client.log_artifact(run_id, str(file), "model/parts")
        client.log_text(run_id, "grüße", "notes/a b.txt")
        client.log_dict(run_id, {"a": 1}, "settings.json")
        down = Path(client.download_artifacts(run_id, "model/parts/weights.bin", folder))
        same = down.read_bytes() == file.read_bytes()
        whole = Path(client.download_artifacts(run_id, "", folder))
        texts = (whole / "notes" / "a b.txt").read_text(encoding="utf-8")
    return {
        "same": same,
        "text": texts,
        "root": [(one.path, one.is_dir, one.file_size) for one in client.list_artifacts(run_id)],
        "model": [(one.path, one.is_dir) for one in client.list_artifacts(run_id, "model")],
    }


def parts(client: mlflow.MlflowClient) -> dict[str, Any]:
    """A file that is large enough to be put in parts, as the server says that it takes them."""
    os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = "1000000"
    os.environ["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"] = "5242880"
    run_id = client.create_run("0").info.run_id
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.bin"
        file.write_bytes(os.urandom(12_000_000))
        client.log_artifact(run_id, str(file), "model")
        down = Path(client.download_artifacts(run_id, "model/weights.bin", folder))
        same = down.read_bytes() == file.read_bytes()
    return {"same": same, "files": [(one.path, one.file_size) for one in client.list_artifacts(run_id, "model")]}


def main() -> None:
    """Input: `{"address": "http://127.0.0.1:8000"}`. Output: what each part found."""
    given = json.load(sys.stdin)
    mlflow.set_tracking_uri(given["address"])
    client = mlflow.MlflowClient()
    found = {
        "experiments": experiments(client),
        "fluent": fluent(),
        "calls": calls(client),
        "artifacts": artifacts(client),
        "parts": parts(client),
        "search": search(client),
        "inputs": [one["dataset"] | {tag.key: tag.value for tag in one["tags"]} for one in inputs(client)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
