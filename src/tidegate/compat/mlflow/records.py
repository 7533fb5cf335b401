"""What the protocol's requests hold. Fields that are not named here are ignored, as MLflow ignores them."""

import msgspec

MOST_METRICS, MOST_PARAMS, MOST_TAGS, MOST_ENTITIES = 1000, 100, 100, 1000
"""In one batch."""


class KeyValue(msgspec.Struct, frozen=True):
    """A parameter or a tag."""

    key: str
    value: str = ""


class MetricIn(msgspec.Struct, frozen=True):
    """A measurement; the timestamp in milliseconds."""

    key: str
    value: float
    timestamp: int
    step: int = 0


class CreateExperiment(msgspec.Struct, frozen=True):
    """Of ``experiments/create``. Where artifacts go is not the client's to say."""

    name: str
    artifact_location: str = ""
    tags: list[KeyValue] = []


class ByExperiment(msgspec.Struct, frozen=True):
    """Names an experiment by its id."""

    experiment_id: str


class ByExperimentName(msgspec.Struct, frozen=True):
    """Names an experiment by its name."""

    experiment_name: str


class UpdateExperiment(msgspec.Struct, frozen=True):
    """Of ``experiments/update``."""

    experiment_id: str
    new_name: str


class ExperimentTag(msgspec.Struct, frozen=True):
    """A tag of an experiment."""

    experiment_id: str
    key: str
    value: str = ""


class SearchExperiments(msgspec.Struct, frozen=True):
    """Of ``experiments/search``."""

    max_results: int = 1000
    page_token: str = ""
    filter: str = ""
    order_by: list[str] = []
    view_type: str | int = "ACTIVE_ONLY"


class CreateRun(msgspec.Struct, frozen=True):
    """Of ``runs/create``; the start in milliseconds."""

    experiment_id: str = "0"
    user_id: str = ""
    run_name: str = ""
    start_time: int | None = None
    tags: list[KeyValue] = []


class ByRun(msgspec.Struct, frozen=True):
    """Names a run, by either of the names that the protocol has for its id."""

    run_id: str = ""
    run_uuid: str = ""

    @property
    def id(self) -> str:
        """The id."""
        return self.run_id or self.run_uuid


class SearchRuns(msgspec.Struct, frozen=True):
    """Of ``runs/search``."""

    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: str | int = "ACTIVE_ONLY"
    max_results: int = 1000
    order_by: list[str] = []
    page_token: str = ""


class UpdateRun(ByRun, frozen=True):
    """Of ``runs/update``; the end in milliseconds."""

    status: str | int = ""
    end_time: int | None = None
    run_name: str = ""


class RunTag(ByRun, frozen=True, kw_only=True):
    """A tag of a run, or a parameter."""

    key: str
    value: str = ""


class RunMetric(ByRun, frozen=True, kw_only=True):
    """Of ``runs/log-metric``."""

    key: str
    value: float
    timestamp: int
    step: int = 0


class LogBatch(ByRun, frozen=True):
    """Of ``runs/log-batch``."""

    metrics: list[MetricIn] = []
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class DatasetIn(msgspec.Struct, frozen=True):
    """A dataset, as its tool describes it."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct, frozen=True):
    """A dataset that went into a run, and what as (the tag ``mlflow.data.context``)."""

    dataset: DatasetIn
    tags: list[KeyValue] = []


class LogInputs(ByRun, frozen=True):
    """Of ``runs/log-inputs``."""

    datasets: list[DatasetInput] = []


class MetricHistory(ByRun, frozen=True, kw_only=True):
    """Of ``metrics/get-history``."""

    metric_key: str
    max_results: int = 25_000
    page_token: str = ""


class BulkHistory(msgspec.Struct, frozen=True):
    """Of ``metrics/get-history-bulk``: one metric of several runs."""

    metric_key: str
    run_id: list[str] = []
    max_results: int = 25_000


class IntervalHistory(msgspec.Struct, frozen=True):
    """Of ``metrics/get-history-bulk-interval``: some of the measurements between two steps, of several runs."""

    run_ids: list[str]
    metric_key: str
    start_step: int | None = None
    end_step: int | None = None
    max_results: int = 2500


class ListArtifacts(ByRun, frozen=True):
    """Of ``artifacts/list``."""

    path: str = ""
    page_token: str = ""


class CreateParts(msgspec.Struct, frozen=True):
    """Of ``mpu/create``; the path is that of the file with the client."""

    path: str
    num_parts: int = 1


class Part(msgspec.Struct, frozen=True):
    """A part that was put."""

    part_number: int
    etag: str = ""


class CompleteParts(msgspec.Struct, frozen=True):
    """Of ``mpu/complete``."""

    path: str
    parts: list[Part]
    upload_id: str = ""


class AbortParts(msgspec.Struct, frozen=True):
    """Of ``mpu/abort``."""

    path: str
    upload_id: str = ""


class Presigned(ByRun, frozen=True, kw_only=True):
    """Of ``artifacts/presigned-upload-url`` and ``artifacts/presigned-download-url``."""

    path: str
