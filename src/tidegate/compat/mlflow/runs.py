"""The protocol's runs, and what is logged to them."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tidegate.compat.mlflow import records
from tidegate.compat.mlflow.artifacts import listed
from tidegate.compat.mlflow.views import (
    PARENT,
    RUN_NAME,
    STATUSES,
    check_page,
    metric_view,
    moment_of,
    run_view,
    state_of,
)
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.pages import MAX_PAGE
from tidegate.runs.experiments import Experiments
from tidegate.runs.records import ENDED, Foreign, Metric, Run, RunInput, Status
from tidegate.runs.service import Runs

MOST_POINTS: Final = 25_000
MOST_RUNS: Final = 50_000
_STATUSES: Final[dict[str, Status]] = {spelling: status for status, spelling in STATUSES.items()}


class RunCalls:
    """Answers the calls under ``runs/``, ``metrics/`` and ``artifacts/``."""

    def __init__(self, runs: Runs, experiments: Experiments) -> None:
        self._runs = runs
        self._experiments = experiments

    def create(self, asked: records.CreateRun) -> dict[str, Any]:
        """A new run, which runs."""
        tags = {tag.key: tag.value for tag in asked.tags}
        run = self._runs.create(
            asked.experiment_id,
            name=asked.run_name or tags.get(RUN_NAME, ""),
            parent=self._known(tags.get(PARENT, "")),
            started_at=moment_of(asked.start_time, "start_time"),
            tags=tags,
        )
        return {"run": run_view(run)}

    def get(self, asked: records.ByRun) -> dict[str, Any]:
        """One, with the latest measurements."""
        return {"run": run_view(self._run(asked))}

    def search(self, asked: records.SearchRuns) -> dict[str, Any]:
        """Runs of some experiments, of which a filter is true. Filters may say more than MLflow's own can."""
        state = state_of(asked.run_view_type, "run_view_type")
        check_page(asked.max_results, MOST_RUNS)
        experiments = tuple(dict.fromkeys(one for one in asked.experiment_ids if self._is_there(one)))
        if not experiments:
            return {"runs": []}
        page = self._runs.search(
            asked.filter,
            experiments=experiments,
            state=state,
            order_by=tuple(asked.order_by),
            limit=min(asked.max_results, MAX_PAGE),
            cursor=asked.page_token,
        )
        answer: dict[str, Any] = {"runs": [run_view(run) for run in page.items]}
        return answer | ({"next_page_token": page.next} if page.next else {})

    def update(self, asked: records.UpdateRun) -> dict[str, Any]:
        """Another status, end or name."""
        run = self._run(asked)
        if asked.status:
            if asked.status not in _STATUSES:
                raise Invalid(f"status {asked.status[:40]!r} is none of {', '.join(_STATUSES)}", field="status")
            status = _STATUSES[asked.status]
            if status in ENDED:
                if run.status in ENDED:
                    self._runs.resume(run.id)
                self._runs.finish(run.id, status=status, ended_at=moment_of(asked.end_time, "end_time"))  # type: ignore[arg-type]
            elif status != run.status:
                self._runs.resume(run.id, status=status)  # type: ignore[arg-type]
        if asked.run_name:
            self._rename(run.id, asked.run_name)
        return {"run_info": run_view(self._run(asked))["info"]}

    def delete(self, asked: records.ByRun) -> dict[str, Any]:
        """Delete one."""
        self._runs.delete(self._run(asked).id)
        return {}

    def restore(self, asked: records.ByRun) -> dict[str, Any]:
        """Restore one."""
        self._runs.restore(self._run(asked).id)
        return {}

    def set_tag(self, asked: records.RunTag) -> dict[str, Any]:
        """Set a tag; that of the name names the run, too."""
        if asked.key == RUN_NAME:
            self._rename(_id(asked), asked.value)
        else:
            self._runs.log(_id(asked), tags={asked.key: asked.value}, late=True)
        return {}

    def delete_tag(self, asked: records.RunTag) -> dict[str, Any]:
        """Delete a tag."""
        self._runs.delete_tag(_id(asked), name=asked.key)
        return {}

    def log_parameter(self, asked: records.RunTag) -> dict[str, Any]:
        """Keep a parameter."""
        self._runs.log(_id(asked), params={asked.key: asked.value}, late=True)
        return {}

    def log_metric(self, asked: records.RunMetric) -> dict[str, Any]:
        """Keep a measurement."""
        self._runs.log(_id(asked), metrics=_metrics([asked]), late=True)
        return {}

    def log_batch(self, asked: records.LogBatch) -> dict[str, Any]:
        """Keep all of it, or nothing."""
        counts = (
            ("metrics", len(asked.metrics), records.MOST_METRICS),
            ("params", len(asked.params), records.MOST_PARAMS),
            ("tags", len(asked.tags), records.MOST_TAGS),
            ("entities", len(asked.metrics) + len(asked.params) + len(asked.tags), records.MOST_ENTITIES),
        )
        for what, count, most in counts:
            if count > most:
                raise Invalid(
                    f"A batch logging request can contain at most {most} {what}. Got {count} {what}. "
                    "Please split up the batch and try again",
                    field=what,
                )
        params: dict[str, Any] = {}
        for one in asked.params:
            if params.setdefault(one.key, one.value) != one.value:
                raise Invalid(f"Duplicate parameter keys have been submitted: {one.key}", field="params")
        tags = {tag.key: tag.value for tag in asked.tags}
        self._runs.log(_id(asked), params=params, metrics=_metrics(asked.metrics), tags=tags, late=True)
        return {}

    def log_inputs(self, asked: records.LogInputs) -> dict[str, Any]:
        """Keep which datasets went in."""
        given = []
        for one in asked.datasets:
            told = msgspec.structs.asdict(one.dataset)
            name, digest = told.pop("name"), told.pop("digest")
            given.append(RunInput(digest, name, Foreign(**told, tags={tag.key: tag.value for tag in one.tags})))
        self._runs.log(_id(asked), foreign_inputs=tuple(given), late=True)
        return {}

    def history(self, asked: records.MetricHistory) -> dict[str, Any]:
        """Every measurement of a metric."""
        limit = min(max(asked.max_results, 1), MOST_POINTS)
        page = self._runs.history(_id(asked), name=asked.metric_key, limit=limit, cursor=asked.page_token)
        answer: dict[str, Any] = {"metrics": [metric_view(metric) for metric in page.items]}
        return answer | ({"next_page_token": page.next} if page.next else {})

    def list_artifacts(self, asked: records.ListArtifacts) -> dict[str, Any]:
        """What lies at a path of the run's artifacts: files and folders, one level."""
        run = self._run(asked)
        return {"root_uri": run_view(run)["info"]["artifact_uri"], "files": listed(run, asked.path)}

    def _run(self, asked: records.ByRun) -> Run:
        return self._runs.get(_id(asked))

    def _known(self, parent: str) -> str:
        """The parent, if there is such a run: the protocol keeps any text in that tag."""
        try:
            return self._runs.get(parent).id if parent else ""
        except NotFound:
            return ""

    def _is_there(self, experiment_id: str) -> bool:
        try:
            return self._experiments.get(experiment_id).id == experiment_id
        except NotFound:
            return False

    def _rename(self, run_id: str, name: str) -> None:
        self._runs.rename(run_id, name=name)
        self._runs.log(run_id, tags={RUN_NAME: name}, late=True)


def _id(asked: records.ByRun) -> str:
    if not asked.id:
        raise Invalid("Missing value for required parameter 'run_id'", field="run_id")
    return asked.id


def _metrics(given: Sequence[records.MetricIn | records.RunMetric]) -> tuple[Metric, ...]:
    return tuple(
        Metric(name=one.key, value=one.value, step=one.step, at=moment_of(one.timestamp, "timestamp")) for one in given
    )
