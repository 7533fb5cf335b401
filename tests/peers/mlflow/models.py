"""Logs, registers and loads models with the real MLflow client, as its users do, and prints what came of it."""

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LogisticRegression

NAME = "late-arrival"
ROWS = np.random.default_rng(7).normal(size=(200, 3))
LATE = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)


def refused(act: Callable[[], object]) -> str:
    """The error code of a call that must fail."""
    try:
        act()
    except MlflowException as error:
        return str(error.error_code)
    return "went through"


def told(act: Callable[[], object]) -> str:
    """The message of a call that must fail."""
    try:
        act()
    except MlflowException as error:
        return str(error.message)
    return "went through"


def same(uri: str, model: LogisticRegression) -> bool:
    """Whether what is at an address answers as the model does."""
    loaded = mlflow.sklearn.load_model(uri)
    return bool(np.array_equal(loaded.predict_proba(ROWS), model.predict_proba(ROWS)))


def logged(client: mlflow.MlflowClient) -> dict[str, Any]:
    """`log_model` and all the ways to load what it logged."""
    mlflow.set_experiment("models")
    model = LogisticRegression().fit(ROWS, LATE)
    with mlflow.start_run(run_name="fit") as run:
        mlflow.log_param("C", 1.0)
        mlflow.log_metric("auc", 0.9)
        info = mlflow.sklearn.log_model(
            model, name="model", registered_model_name=NAME, input_example=ROWS[:2], pip_requirements=["scikit-learn"]
        )
        mlflow.log_metric("f1", 0.8, model_id=info.model_id)
        mlflow.set_logged_model_tags(info.model_id, {"team": "ops", "gone": "1"})
        mlflow.delete_logged_model_tag(info.model_id, "gone")
    with mlflow.start_run():
        pickled = mlflow.sklearn.log_model(
            LogisticRegression(C=0.1).fit(ROWS, LATE),
            name="model",
            registered_model_name=NAME,
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
        )
    client.set_registered_model_alias(NAME, "challenger", 1)
    found = client.get_logged_model(info.model_id)
    page = mlflow.search_logged_models(
        filter_string="name = 'model' and tags.team = 'ops' and metrics.f1 > 0.5 and params.C = '1.0'",
        output_format="list",
    )
    ended = client.get_run(run.info.run_id)
    return {
        "run": run.info.run_id,
        "model": info.model_id,
        "pickled": pickled.model_id,
        "id": same(f"models:/{info.model_id}", model),
        "version": same(f"models:/{NAME}/1", model),
        "alias": same(f"models:/{NAME}@challenger", model),
        "run's": same(f"runs:/{run.info.run_id}/model", model),
        "latest": mlflow.pyfunc.load_model(f"models:/{NAME}/latest").predict(ROWS[:3]).tolist(),
        "second": same(f"models:/{NAME}/2", LogisticRegression(C=0.1).fit(ROWS, LATE)),
        "status": str(found.status),
        "params": found.params,
        "metrics": sorted((one.key, one.value, one.run_id == run.info.run_id) for one in found.metrics),
        "tags": {name: found.tags.get(name) for name in ("team", "gone")},
        "found": [one.model_id == info.model_id for one in page],
        "outputs": [(one.model_id == info.model_id, one.step) for one in ended.outputs.model_outputs],
        "files": sorted(one.path for one in client.list_logged_model_artifacts(info.model_id))[:2],
        "run metrics": ended.data.metrics,
    }


def registry(client: mlflow.MlflowClient, found: dict[str, Any]) -> dict[str, Any]:
    """The calls of the registry."""
    made = client.create_registered_model("other", tags={"team": "ops"}, description="about it")
    client.set_registered_model_tag("other", "tier", "1")
    client.delete_registered_model_tag("other", "team")
    client.rename_registered_model("other", "another")
    client.update_registered_model("another", "said anew")
    other = client.get_registered_model("another")
    by_run = client.create_model_version(
        "another", f"runs:/{found['run']}/model", found["run"], tags={"a": "b"}, description="by its run"
    )
    copied = client.copy_model_version(f"models:/{NAME}/1", "another")
    client.set_model_version_tag("another", "1", "c", "d")
    client.delete_model_version_tag("another", "1", "a")
    client.update_model_version("another", "1", "told")
    first = client.get_model_version("another", "1")
    client.transition_model_version_stage(NAME, "1", "Staging")
    client.transition_model_version_stage(NAME, "2", "Staging", archive_existing_versions=True)
    stages = {one.version: one.current_stage for one in client.search_model_versions(f"name = '{NAME}'")}
    with tempfile.TemporaryDirectory() as folder:
        down = Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}/1", dst_path=folder))
        files = (down / "MLmodel").exists()
    latest = {one.current_stage: one.version for one in client.get_latest_versions(NAME)}
    aliased = client.get_model_version_by_alias(NAME, "challenger").version
    shown = client.get_registered_model(NAME)
    client.delete_registered_model_alias(NAME, "challenger")
    client.delete_model_version("another", str(copied.version))
    pages = client.search_registered_models(max_results=1)
    rest = client.search_registered_models(max_results=1, page_token=pages.token)
    return {
        "made": [made.name, made.description, made.tags],
        "other": [other.name, other.description, other.tags],
        "by run": [by_run.version, by_run.run_id == found["run"], by_run.tags, by_run.description, by_run.status],
        "copied": [copied.name, copied.version],
        "first": [first.tags, first.description, first.current_stage],
        "stages": stages,
        "latest": latest,
        "files": files,
        "aliased": aliased,
        "aliases": shown.aliases,
        "latest versions": sorted(one.version for one in shown.latest_versions),
        "pages": [[one.name for one in page] for page in (pages, rest)],
        "search": [one.name for one in client.search_registered_models("name LIKE 'an%' and tags.tier = '1'")],
        "ordered": [one.name for one in client.search_registered_models(order_by=["name DESC"])],
        "versions": sorted(
            f"{one.name}/{one.version}" for one in client.search_model_versions(f"run_id = '{found['run']}'")
        ),
        "uri": client.get_model_version_download_uri(NAME, "1"),
    }


def refusals(client: mlflow.MlflowClient, found: dict[str, Any]) -> dict[str, Any]:
    """What must fail, and how."""
    return {
        "production": told(lambda: client.transition_model_version_stage(NAME, "1", "Production")),
        "production code": refused(lambda: client.transition_model_version_stage(NAME, "1", "Production")),
        "stage": refused(lambda: client.transition_model_version_stage(NAME, "1", "Elsewhere")),
        "twice": refused(lambda: client.create_registered_model(NAME)),
        "nobody": refused(lambda: client.get_registered_model("nobody's")),
        "version": refused(lambda: client.get_model_version(NAME, "99")),
        "alias": refused(lambda: client.get_model_version_by_alias(NAME, "nothing")),
        "folder": refused(lambda: client.create_model_version("another", "file:///etc", None)),
        "bucket": refused(lambda: client.create_model_version("another", "s3://bucket/model", None)),
        "logged": refused(lambda: client.get_logged_model("m-" + "0" * 32)),
        "deleted": client.delete_logged_model(found["pickled"])
        or refused(lambda: client.get_logged_model(found["pickled"])),
        "kept": client.get_model_version(NAME, "2").status,
        "gone": client.delete_registered_model("another") or refused(lambda: client.get_registered_model("another")),
        "prompt": refused(lambda: client.register_prompt("greeting", "hello {{name}}")),
    }


def main() -> None:
    """Input: `{"address": "http://127.0.0.1:8000"}`. Output: what each part found."""
    warnings.simplefilter("ignore")
    given = json.load(sys.stdin)
    mlflow.set_tracking_uri(given["address"])
    client = mlflow.MlflowClient()
    found = {"logged": logged(client)}
    found["registry"] = registry(client, found["logged"])
    found["refusals"] = refusals(client, found["logged"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
