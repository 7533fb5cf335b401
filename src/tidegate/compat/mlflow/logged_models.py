"""The protocol's logged models, our drafts: the files of a model that a run left, and what runs measured of it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal

import msgspec

from tidegate.compat.mlflow import model_records, records
from tidegate.compat.mlflow.artifacts import listed_files
from tidegate.compat.mlflow.records import KeyValue
from tidegate.compat.mlflow.registry import draft_of
from tidegate.compat.mlflow.rules import measured_at
from tidegate.compat.mlflow.runs import RunCalls
from tidegate.compat.mlflow.views import MetricView, millis, pairs, spelt
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.ids import random_id
from tidegate.models.drafts import Drafts
from tidegate.models.records import Draft, DraftMetric, DraftStatus, ModelVersion
from tidegate.models.service import Models
from tidegate.runs.experiments import Experiments
from tidegate.runs.rules import TAG_LENGTH
from tidegate.runs.service import Runs

STATUSES: Final[dict[DraftStatus, str]] = {
    "pending": "LOGGED_MODEL_PENDING",
    "ready": "LOGGED_MODEL_READY",
    "failed": "LOGGED_MODEL_UPLOAD_FAILED",
}
Measured = model_records.ModelMetric | model_records.ModelMetricIn

HISTORY: Final = "mlflow.log-model.history"
"""The tag in which runs of older clients list their models."""

MOST_FOUND: Final = 1000


class LoggedModelCalls:
    """Answers the calls under ``logged-models``."""

    def __init__(self, drafts: Drafts, models: Models, experiments: Experiments) -> None:
        self._drafts = drafts
        self._models = models
        self._experiments = experiments

    def create(self, asked: model_records.CreateLogged) -> dict[str, Any]:
        """A new one, pending."""
        if self._experiments.get(asked.experiment_id).id != asked.experiment_id:  # a name
            raise NotFound(f"No Experiment with id={asked.experiment_id[:80]} exists")
        made = self._drafts.create(
            asked.experiment_id,
            asked.name or f"model-{random_id()[:12]}",
            run_id=asked.source_run_id,
            kind=asked.model_type,
            params=_texts(asked.params),
            tags=_texts(asked.tags),
        )
        return {"model": model_view(made)}

    def get(self, asked: model_records.ByModel) -> dict[str, Any]:
        """One, with the versions that were made of it."""
        draft = self._draft(asked)
        return {"model": model_view(draft, self._models.search_versions(f"draft_id = '{draft.id}'").items)}

    def finalize(self, asked: model_records.Finalize) -> dict[str, Any]:
        """It is there, or its upload failed."""
        ends: dict[str, Literal["ready", "failed"]] = {
            **dict.fromkeys((STATUSES["ready"], "2"), "ready"),
            **dict.fromkeys((STATUSES["failed"], "3"), "failed"),
        }
        if asked.status not in ends:
            raise Invalid(
                f"status {asked.status[:40]!r} is none of {STATUSES['ready']}, {STATUSES['failed']}", field="status"
            )
        return {"model": model_view(self._drafts.finish(self._draft(asked).id, status=ends[asked.status]))}

    def delete(self, asked: model_records.ByModel) -> dict[str, Any]:
        """Delete one, for good."""
        self._drafts.delete(self._draft(asked).id)
        return {}

    def set_tags(self, asked: model_records.Tags) -> dict[str, Any]:
        """Set tags."""
        return {"model": model_view(self._drafts.log(self._draft(asked).id, tags=_texts(asked.tags)))}

    def delete_tag(self, asked: model_records.ByTag) -> dict[str, Any]:
        """Delete a tag."""
        self._drafts.delete_tag(self._draft(asked).id, tag=asked.tag_key)
        return {}

    def log_params(self, asked: model_records.Params) -> dict[str, Any]:
        """Keep parameters."""
        self._drafts.log(self._draft(asked).id, params=_texts(asked.params))
        return {}

    def list_artifacts(self, asked: model_records.ByFolder) -> dict[str, Any]:
        """What lies at a path of its files: files and folders, one level."""
        draft = self._draft(asked)
        return {"root_uri": _place(draft), "files": listed_files(draft.files, asked.artifact_directory_path)}

    def search(self, asked: model_records.SearchLogged) -> dict[str, Any]:
        """Those of some experiments of which a filter is true."""
        if not 1 <= asked.max_results <= MOST_FOUND:
            raise Invalid(f"max_results {asked.max_results} lies not between 1 and {MOST_FOUND}", field="max_results")
        experiments = tuple(dict.fromkeys(one for one in asked.experiment_ids if self._is_there(one)))
        if not experiments:
            return {"models": []}
        named: Sequence[model_records.Dataset] = [*asked.datasets, *asked.order_by]
        page = self._drafts.search(
            asked.filter,
            experiments=experiments,
            datasets=tuple((one.dataset_name, one.dataset_digest) for one in named if one.dataset_name),
            order_by=tuple(f"{one.field_name} {'ASC' if one.ascending else 'DESC'}" for one in asked.order_by),
            limit=asked.max_results,
            cursor=asked.page_token,
        )
        answer: dict[str, Any] = {"models": [model_view(one) for one in page.items]}
        return answer | ({"next_page_token": page.next} if page.next else {})

    def _draft(self, asked: model_records.ByModel) -> Draft:
        return self._drafts.get(draft_of(asked.model_id))

    def _is_there(self, experiment_id: str) -> bool:
        try:
            return self._experiments.get(experiment_id).id == experiment_id
        except NotFound:
            return False


class RunModelCalls:
    """Answers those calls under ``runs/`` that speak of logged models, too."""

    def __init__(self, calls: RunCalls, runs: Runs, drafts: Drafts) -> None:
        self._calls = calls
        self._runs = runs
        self._drafts = drafts

    def get(self, asked: records.ByRun) -> dict[str, Any]:
        """A run, with the models that it left and took."""
        answer = self._calls.get(asked)
        self._complete([answer["run"]])
        return answer

    def search(self, asked: records.SearchRuns) -> dict[str, Any]:
        """Runs, with the models that they left and took."""
        answer = self._calls.search(asked)
        self._complete(answer["runs"])
        return answer

    def log_metric(self, asked: model_records.ModelMetric) -> dict[str, Any]:
        """Keep a measurement, of a run and of the model that it names."""
        return self._calls.log_metric(asked, self._log_of([asked]))

    def log_batch(self, asked: model_records.ModelBatch) -> dict[str, Any]:
        """Keep all of it, or nothing."""
        return self._calls.log_batch(asked, self._log_of(asked.metrics))

    def log_inputs(self, asked: model_records.Inputs) -> dict[str, Any]:
        """Keep which datasets went in, and which models."""
        ids = [self._drafts.get(draft_of(one.model_id)).id for one in asked.models]
        answer = self._calls.log_inputs(asked)
        for one in ids:
            self._drafts.link(one, run_id=asked.id, role="input")
        return answer

    def log_outputs(self, asked: model_records.Outputs) -> dict[str, Any]:
        """Keep which models a run left."""
        ids = [self._drafts.get(draft_of(one.model_id)).id for one in asked.models]
        for draft_id, one in zip(ids, asked.models, strict=True):
            self._drafts.link(draft_id, run_id=asked.id, role="output", step=one.step)
        return {}

    def log_model(self, asked: model_records.LogModel) -> dict[str, Any]:
        """Note a model in the tag where older clients look for it; the newest ones that fit in."""
        try:
            told = msgspec.json.decode(asked.model_json, type=dict[str, Any])
            kept = self._runs.get(asked.id).tags.get(HISTORY, "[]")
            history = [*msgspec.json.decode(kept, type=list[Any]), told]
        except msgspec.DecodeError as error:
            raise Invalid(f"model_json is no JSON object: {error}", field="model_json") from error
        while len(text := msgspec.json.encode(history).decode()) > TAG_LENGTH and len(history) > 1:
            history = history[1:]
        self._runs.log(asked.id, tags={HISTORY: text}, late=True)
        return {}

    def _log_of(self, metrics: Sequence[Measured]) -> Callable[..., object] | None:
        """What keeps the measurements of the models that they name, too; None where they name none."""
        names = sorted({one.model_id for one in metrics if one.model_id})
        if not names:
            return None
        measured = {draft_of(name): tuple(_measured(one) for one in metrics if one.model_id == name) for name in names}
        return partial(self._drafts.measure, measured=measured)

    def _complete(self, runs: Sequence[dict[str, Any]]) -> None:
        by_id = {run["info"]["run_id"]: run for run in runs}
        for use in self._drafts.of_runs(tuple(by_id)) if by_id else ():
            run, one = by_id[use.run_id], {"model_id": f"m-{use.draft_id}"}
            if use.role == "output":
                run.setdefault("outputs", {}).setdefault("model_outputs", []).append(one | {"step": use.step})
            else:
                run["inputs"].setdefault("model_inputs", []).append(one)


def model_view(draft: Draft, versions: Sequence[ModelVersion] = ()) -> dict[str, Any]:
    """A logged model, with the versions that were made of it."""
    run = {"source_run_id": draft.run_id} if draft.run_id else {}
    kind = {"model_type": draft.kind} if draft.kind else {}
    return {
        "info": {
            "model_id": f"m-{draft.id}",
            "experiment_id": draft.experiment_id,
            "name": draft.name,
            "creation_timestamp_ms": millis(draft.created_at),
            "last_updated_timestamp_ms": millis(draft.updated_at),
            "artifact_uri": _place(draft),
            "status": STATUSES[draft.status],
            **kind,
            **run,
            "tags": pairs(draft.tags),
            "registrations": [{"name": one.name, "version": str(one.number)} for one in versions],
        },
        "data": {
            "params": pairs(draft.params),
            "metrics": [_metric(one, draft.id) for one in draft.metrics],
        },
    }


def _place(draft: Draft) -> str:
    return f"mlflow-artifacts:/{draft.experiment_id}/models/m-{draft.id}/artifacts"


def _metric(metric: DraftMetric, draft_id: str) -> MetricView:
    return MetricView(
        key=metric.name,
        value=spelt(metric.value),
        timestamp=millis(metric.at),
        step=metric.step,
        run_id=metric.run_id,
        model_id=f"m-{draft_id}",
        dataset_name=metric.dataset,
        dataset_digest=metric.dataset_digest,
    )


def _measured(metric: Measured) -> DraftMetric:
    return DraftMetric(
        name=metric.key,
        value=metric.value,
        step=metric.step,
        at=measured_at(metric.timestamp),
        dataset=metric.dataset_name,
        dataset_digest=metric.dataset_digest,
    )


def _texts(given: Sequence[KeyValue]) -> dict[str, str]:
    return {one.key: one.value for one in given}
