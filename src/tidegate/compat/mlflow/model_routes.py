"""The protocol's paths about models: who answers each, and what it reads."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tidegate.compat.mlflow import model_records, records
from tidegate.compat.mlflow.logged_models import LoggedModelCalls, RunModelCalls
from tidegate.compat.mlflow.registry import ModelVersionCalls, RegisteredModelCalls
from tidegate.compat.mlflow.runs import RunCalls

if TYPE_CHECKING:
    from tidegate.workspace import LocalWorkspace

Answered = tuple[Callable[[Any], dict[str, Any]], type[msgspec.Struct]]

ROOT: Final = "mlflow/logged-models"


def model_routes(workspace: "LocalWorkspace", runs: RunCalls) -> dict[tuple[str, str], Answered]:
    """By method and path, which `templated` has made of a request's."""
    found = _run_models(RunModelCalls(runs, workspace.runs, workspace.drafts))
    found |= _logged_models(LoggedModelCalls(workspace.drafts, workspace.models, workspace.experiments))
    found |= _registered_models(RegisteredModelCalls(workspace.models))
    return found | _model_versions(ModelVersionCalls(workspace.models, workspace.drafts))


def templated(path: str) -> tuple[str, dict[str, str]]:
    """A path with its parts that vary replaced by their names, and these parts."""
    if not path.startswith(f"{ROOT}/"):
        return path, {}
    model_id, _, rest = path[len(ROOT) + 1 :].partition("/")
    if model_id == "search" and not rest:
        return path, {}
    first, _, key = rest.partition("/")
    if first == "tags" and key:
        return f"{ROOT}/ID/tags/KEY", {"model_id": model_id, "tag_key": key}
    return f"{ROOT}/ID/{rest}" if rest else f"{ROOT}/ID", {"model_id": model_id}


def _run_models(calls: RunModelCalls) -> dict[tuple[str, str], Answered]:
    return {
        ("GET", "runs/get"): (calls.get, records.ByRun),
        ("POST", "runs/search"): (calls.search, records.SearchRuns),
        ("POST", "runs/log-metric"): (calls.log_metric, model_records.ModelMetric),
        ("POST", "runs/log-batch"): (calls.log_batch, model_records.ModelBatch),
        ("POST", "runs/log-inputs"): (calls.log_inputs, model_records.Inputs),
        ("POST", "runs/outputs"): (calls.log_outputs, model_records.Outputs),
        ("POST", "runs/log-model"): (calls.log_model, model_records.LogModel),
    }


def _logged_models(calls: LoggedModelCalls) -> dict[tuple[str, str], Answered]:
    return {
        ("POST", "logged-models"): (calls.create, model_records.CreateLogged),
        ("POST", "logged-models/search"): (calls.search, model_records.SearchLogged),
        ("GET", "logged-models/ID"): (calls.get, model_records.ByModel),
        ("PATCH", "logged-models/ID"): (calls.finalize, model_records.Finalize),
        ("DELETE", "logged-models/ID"): (calls.delete, model_records.ByModel),
        ("PATCH", "logged-models/ID/tags"): (calls.set_tags, model_records.Tags),
        ("DELETE", "logged-models/ID/tags/KEY"): (calls.delete_tag, model_records.ByTag),
        ("POST", "logged-models/ID/params"): (calls.log_params, model_records.Params),
        ("GET", "logged-models/ID/artifacts/directories"): (calls.list_artifacts, model_records.ByFolder),
    }


def _registered_models(calls: RegisteredModelCalls) -> dict[tuple[str, str], Answered]:
    latest = (calls.latest, model_records.Latest)
    of_model: dict[tuple[str, str], Answered] = {
        ("POST", "create"): (calls.create, model_records.CreateModel),
        ("GET", "get"): (calls.get, model_records.ByName),
        ("POST", "rename"): (calls.rename, model_records.Rename),
        ("PATCH", "update"): (calls.update, model_records.Describe),
        ("DELETE", "delete"): (calls.delete, model_records.ByName),
        ("GET", "search"): (calls.search, model_records.SearchModels),
        ("GET", "get-latest-versions"): latest,
        ("POST", "get-latest-versions"): latest,
        ("POST", "set-tag"): (calls.set_tag, model_records.ModelTag),
        ("DELETE", "delete-tag"): (calls.delete_tag, model_records.ModelTag),
        ("POST", "alias"): (calls.set_alias, model_records.SetAlias),
        ("GET", "alias"): (calls.by_alias, model_records.ByAlias),
        ("DELETE", "alias"): (calls.delete_alias, model_records.ByAlias),
    }
    return {(method, f"registered-models/{path}"): each for (method, path), each in of_model.items()}


def _model_versions(calls: ModelVersionCalls) -> dict[tuple[str, str], Answered]:
    of_version: dict[tuple[str, str], Answered] = {
        ("POST", "create"): (calls.create, model_records.CreateVersion),
        ("GET", "get"): (calls.get, model_records.ByVersion),
        ("PATCH", "update"): (calls.update, model_records.DescribeVersion),
        ("DELETE", "delete"): (calls.delete, model_records.ByVersion),
        ("GET", "search"): (calls.search, model_records.SearchVersions),
        ("POST", "transition-stage"): (calls.transition, model_records.Transition),
        ("GET", "get-download-uri"): (calls.download_uri, model_records.ByVersion),
        ("POST", "set-tag"): (calls.set_tag, model_records.VersionTag),
        ("DELETE", "delete-tag"): (calls.delete_tag, model_records.VersionTag),
    }
    return {(method, f"model-versions/{path}"): each for (method, path), each in of_version.items()}
