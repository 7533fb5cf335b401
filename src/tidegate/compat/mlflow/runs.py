"""The protocol's runs, and what is logged to them."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidegate.compat.mlflow import records
from tidegate.compat.mlflow.artifacts import listed
from tidegate.compat.mlflow.experiments import by_id
from tidegate.compat.mlflow.rules import (
    MOST_COMPARED,
    MOST_POINTS,
    MOST_SAMPLED,
    MOST_SEARCHED,
    STATUSES,
    VIEWS,
    check_key,
    check_keys,
    check_page,
    measured_at,
    moment_of,
    one_of,
    steps_between,
    texts,
)
from tidegate.compat.mlflow.views import PARENT, RUN_NAME, SHOWN, MetricView, measured, run_view
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.runs.experiments import Experiments
from tidegate.runs.records import ENDED, Foreign, Metric, Run, RunInput
from tidegate.runs.rules import PARAM_LENGTH, TAG_LENGTH, check_artifact_name, check_foreign, check_run_name
from tidegate.runs.service import Runs


class RunCalls:
    """Answers the calls under ``runs/``, ``metrics/`` and ``artifacts/``."""

    def __init__(self, runs: Runs, experiments: Experiments) -> None:
        self._runs = runs
        self._experiments = experiments

    def create(self, asked: records.CreateRun) -> dict[str, Any]:
        """A new run, which runs."""
        tags = texts(asked.tags, TAG_LENGTH)
        tagged = tags.get(RUN_NAME, "")
        if asked.run_name and tagged and asked.run_name != tagged:
            raise Invalid(
                f"Both 'run_name' ({asked.run_name[:80]!r}) and the tag {RUN_NAME!r} ({tagged[:80]!r}) name the run, "
                "with different values: leave one of them out",
                field="run_name",
            )
        run = self._runs.create(
            by_id(self._experiments, asked.experiment_id).id,
            name=asked.run_name or tagged,
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
        state = one_of(VIEWS, asked.run_view_type, "run_view_type")
        check_page(asked.max_results)
        if len(asked.experiment_ids) > MOST_SEARCHED:
            raise Invalid(
                f"experiment_ids names {len(asked.experiment_ids):,} experiments: name {MOST_SEARCHED:,} at most",
                field="experiment_ids",
            )
        experiments = tuple(dict.fromkeys(one for one in asked.experiment_ids if self._is_there(one)))
        if not experiments:
            return {"runs": []}
        page = self._runs.search(
            asked.filter,
            experiments=experiments,
            state=state,
            order_by=tuple(asked.order_by),
            fields=SHOWN,
            limit=asked.max_results,
            cursor=asked.page_token,
        )
        answer: dict[str, Any] = {"runs": [run_view(run) for run in page.items]}
        return answer | ({"next_page_token": page.next} if page.next else {})

    def update(self, asked: records.UpdateRun) -> dict[str, Any]:
        """Another status, end or name."""
        run = self._active(_id(asked))
        check_run_name(asked.run_name)
        if asked.status:
            status = one_of(STATUSES, asked.status, "status")
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
        check_key(asked.key, "key")
        if asked.key == RUN_NAME:
            self._rename(self._active(_id(asked)).id, asked.value)
        else:
            self._runs.log(_id(asked), tags={asked.key: asked.value[:TAG_LENGTH]}, late=True)
        return {}

    def delete_tag(self, asked: records.RunTag) -> dict[str, Any]:
        """Delete a tag."""
        self._runs.delete_tag(_id(asked), name=asked.key)
        return {}

    def log_parameter(self, asked: records.RunTag) -> dict[str, Any]:
        """Keep a parameter."""
        check_key(asked.key, "key")
        self._runs.log(_id(asked), params={asked.key: asked.value[:PARAM_LENGTH]}, late=True)
        return {}

    def log_metric(self, asked: records.RunMetric, log: Callable[..., object] | None = None) -> dict[str, Any]:
        """Keep a measurement. ``log`` keeps it together with something else."""
        (log or self._runs.log)(_id(asked), metrics=_metrics([asked]), late=True)
        return {}

    def log_batch(self, asked: records.LogBatch, log: Callable[..., object] | None = None) -> dict[str, Any]:
        """Keep all of it, or nothing. ``log`` as for `log_metric`."""
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
        check_keys(asked.params, "params")
        check_keys(asked.tags, "tags")
        params: dict[str, Any] = dict(texts(asked.params, PARAM_LENGTH))
        if len(params) < len(asked.params):
            raise Invalid("Duplicate parameter keys have been submitted: name each of them once", field="params")
        tags = texts(asked.tags, TAG_LENGTH)
        name = check_run_name(tags.pop(RUN_NAME, ""))
        (log or self._runs.log)(_id(asked), params=params, metrics=_metrics(asked.metrics), tags=tags, late=True)
        if name:
            self._rename(_id(asked), name)
        return {}

    def log_inputs(self, asked: records.LogInputs) -> dict[str, Any]:
        """Keep which datasets went in."""
        given = []
        for one in asked.datasets:
            told = msgspec.structs.asdict(one.dataset)
            name, digest = told.pop("name"), told.pop("digest")
            given.append(RunInput(digest, name, Foreign(**told, tags={tag.key: tag.value for tag in one.tags})))
        check_foreign(given)
        self._runs.log(_id(asked), foreign_inputs=tuple(given), late=True)
        return {}

    def history(self, asked: records.MetricHistory) -> dict[str, Any]:
        """Every measurement of a metric, in the order of time."""
        if asked.max_results < 1:
            raise Invalid(f"max_results {asked.max_results} must be a positive integer", field="max_results")
        limit = min(asked.max_results, MOST_POINTS)
        found = self._runs.measurements(_id(asked), asked.metric_key, limit=limit, cursor=asked.page_token)
        answer: dict[str, Any] = {"metrics": measured(found)}
        return answer | ({"next_page_token": found.next} if found.next else {})

    def histories(self, asked: records.BulkHistory) -> dict[str, Any]:
        """The measurements of a metric of several runs, run by run in the order of time, up to a number in all."""
        _check_compared(asked.run_id, "run_id")
        left = min(max(asked.max_results, 0), MOST_POINTS)
        found: list[MetricView] = []
        for run_id in sorted(set(asked.run_id)):
            if left > len(found):
                with contextlib.suppress(NotFound):  # what is not there has no measurements
                    told = self._runs.measurements(run_id, asked.metric_key, limit=left - len(found))
                    found += measured(told, run_id)
        return {"metrics": found}

    def intervals(self, asked: records.IntervalHistory) -> dict[str, Any]:
        """Some of the measurements between two steps, of several runs: enough to draw a line."""
        _check_compared(asked.run_ids, "run_ids")
        check_page(asked.max_results, MOST_SAMPLED)
        start, end = steps_between(asked.start_step, asked.end_step)
        found: list[MetricView] = []
        for run_id in asked.run_ids:
            with contextlib.suppress(NotFound):  # what is not there has no measurements
                told = self._runs.sample(
                    run_id, asked.metric_key, points=asked.max_results, start_step=start, end_step=end
                )
                found += measured(told, run_id)
        return {"metrics": found}

    def list_artifacts(self, asked: records.ListArtifacts) -> dict[str, Any]:
        """What lies at a path of the run's artifacts: files and folders, one level."""
        if asked.path:
            check_artifact_name(asked.path.removesuffix("/"))
        run = self._run(asked)
        return {"root_uri": run_view(run)["info"]["artifact_uri"], "files": listed(run, asked.path)}

    def presigned(self, asked: records.Presigned) -> dict[str, Any]:
        """There are no addresses beside this server's own, as with any MLflow server that keeps artifacts itself."""
        check_artifact_name(asked.path)
        self._run(asked)
        raise Invalid(
            "Presigned addresses are not supported for proxied artifact storage (artifact URI scheme: "
            "mlflow-artifacts): put and get the artifact through the artifact proxy",
            field="path",
        )

    def _run(self, asked: records.ByRun) -> Run:
        return self._runs.get(_id(asked))

    def _active(self, run_id: str) -> Run:
        run = self._runs.get(run_id)
        if run.deleted_at is not None:
            raise Conflict(f"run {run_id} is deleted and cannot be changed: restore it first", run_id=run_id)
        return run

    def _known(self, parent: str) -> str:
        """The parent, if there is such a run: the protocol keeps any text in that tag."""
        try:
            return self._runs.get(parent).id if parent else ""
        except NotFound:
            return ""

    def _is_there(self, experiment_id: str) -> bool:
        try:
            return bool(by_id(self._experiments, experiment_id))
        except NotFound:
            return False

    def _rename(self, run_id: str, name: str) -> None:
        if not name:  # the protocol knows no run without a name
            return
        self._runs.rename(run_id, name=name)
        self._runs.log(run_id, tags={RUN_NAME: name}, late=True)


def _id(asked: records.ByRun) -> str:
    if not asked.id:
        raise Invalid("Missing value for required parameter 'run_id'", field="run_id")
    return asked.id


def _check_compared(run_ids: Sequence[str], field: str) -> None:
    if not 1 <= len(run_ids) <= MOST_COMPARED:
        raise Invalid(f"{field} names {len(run_ids)} runs: name 1 to {MOST_COMPARED} of them", field=field)


def _metrics(given: Sequence[records.MetricIn | records.RunMetric]) -> tuple[Metric, ...]:
    for key in {one.key for one in given}:
        check_key(key, "metrics.key")
    moments = {timestamp: measured_at(timestamp) for timestamp in {one.timestamp for one in given}}
    return tuple([Metric(name=one.key, value=one.value, step=one.step, at=moments[one.timestamp]) for one in given])
