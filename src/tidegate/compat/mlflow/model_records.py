"""What the protocol's requests about models hold. Fields that are not named here are ignored."""

import msgspec

from tidegate.compat.mlflow import records
from tidegate.compat.mlflow.records import KeyValue


class CreateModel(msgspec.Struct, frozen=True):
    """Of ``registered-models/create``."""

    name: str
    tags: list[KeyValue] = []
    description: str = ""


class ByName(msgspec.Struct, frozen=True):
    """Names a model."""

    name: str


class Rename(ByName, frozen=True):
    """Of ``registered-models/rename``."""

    new_name: str


class Describe(ByName, frozen=True):
    """Of ``registered-models/update``."""

    description: str = ""


class Latest(ByName, frozen=True):
    """Of ``registered-models/get-latest-versions``."""

    stages: list[str] = []


class ModelTag(ByName, frozen=True):
    """A tag of a model."""

    key: str
    value: str = ""


class ByAlias(ByName, frozen=True):
    """Names an alias of a model."""

    alias: str


class ByVersion(ByName, frozen=True):
    """Names a version."""

    version: str


class SetAlias(ByVersion, frozen=True):
    """Of ``registered-models/alias``."""

    alias: str


class DescribeVersion(ByVersion, frozen=True):
    """Of ``model-versions/update``."""

    description: str = ""


class VersionTag(ByVersion, frozen=True):
    """A tag of a version."""

    key: str
    value: str = ""


class Transition(ByVersion, frozen=True):
    """Of ``model-versions/transition-stage``."""

    stage: str
    archive_existing_versions: bool = False


class CreateVersion(ByName, frozen=True):
    """Of ``model-versions/create``."""

    source: str
    run_id: str = ""
    tags: list[KeyValue] = []
    run_link: str = ""
    description: str = ""
    model_id: str = ""


class SearchModels(msgspec.Struct, frozen=True):
    """Of ``registered-models/search``."""

    filter: str = ""
    max_results: int = 100
    order_by: list[str] = []
    page_token: str = ""


class SearchVersions(SearchModels, frozen=True):
    """Of ``model-versions/search``."""

    max_results: int = 10_000


class CreateLogged(msgspec.Struct, frozen=True):
    """Of ``logged-models``."""

    experiment_id: str
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class ByModel(msgspec.Struct, frozen=True):
    """Names a logged model."""

    model_id: str


class Finalize(ByModel, frozen=True):
    """Says how the upload ended."""

    status: str


class Tags(ByModel, frozen=True):
    """Tags of a logged model."""

    tags: list[KeyValue] = []


class ByTag(ByModel, frozen=True):
    """Names a tag of a logged model."""

    tag_key: str


class Params(ByModel, frozen=True):
    """Parameters of a logged model."""

    params: list[KeyValue] = []


class ByFolder(ByModel, frozen=True):
    """Names a folder of a logged model's files."""

    artifact_directory_path: str = ""


class Dataset(msgspec.Struct, frozen=True):
    """A dataset on which metrics were measured."""

    dataset_name: str = ""
    dataset_digest: str = ""


class Order(Dataset, frozen=True, kw_only=True):
    """One key of an order."""

    field_name: str
    ascending: bool = True


class SearchLogged(msgspec.Struct, frozen=True):
    """Of ``logged-models/search``."""

    experiment_ids: list[str] = []
    filter: str = ""
    datasets: list[Dataset] = []
    max_results: int = 100
    order_by: list[Order] = []
    page_token: str = ""


class ModelMetric(records.RunMetric, frozen=True, kw_only=True):
    """Of ``runs/log-metric``; of a logged model, too, where it names one."""

    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class ModelMetricIn(records.MetricIn, frozen=True, kw_only=True):
    """A measurement in a batch; of a logged model, too, where it names one."""

    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class ModelBatch(records.LogBatch, frozen=True):
    """Of ``runs/log-batch``."""

    metrics: list[ModelMetricIn] = []  # type: ignore[assignment]


class Use(msgspec.Struct, frozen=True):
    """A logged model that a run left or took."""

    model_id: str
    step: int = 0


class Inputs(records.LogInputs, frozen=True):
    """Of ``runs/log-inputs``."""

    models: list[Use] = []


class Outputs(records.ByRun, frozen=True):
    """Of ``runs/outputs``."""

    models: list[Use] = []


class LogModel(records.ByRun, frozen=True, kw_only=True):
    """Of ``runs/log-model``."""

    model_json: str
