"""The fields that a filter or an order may name: sections and their other names, attributes, and functions."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.runs.search.ast import Attribute, AttributeName, Dataset, DatasetPart, Field, MetricValue, Param, Tag

Section = Literal["metrics", "params", "tags", "attributes", "datasets"]
ValueKind = Literal["number", "text", "instant"]

SECTIONS: Final[dict[str, Section]] = {
    **dict.fromkeys(("metrics", "metric"), "metrics"),
    **dict.fromkeys(("params", "param", "parameters", "parameter"), "params"),
    **dict.fromkeys(("tags", "tag"), "tags"),
    **dict.fromkeys(("attributes", "attribute", "attr", "run"), "attributes"),
    **dict.fromkeys(("datasets", "dataset"), "datasets"),
}

ATTRIBUTES: Final[dict[str, AttributeName]] = {
    "id": "id",
    "name": "name",
    "experiment": "experiment",
    "experiment_id": "experiment_id",
    "parent": "parent",
    "status": "status",
    "actor": "actor",
    "error": "error",
    "started_at": "started_at",
    "ended_at": "ended_at",
}
"""Attributes by the names of a run's record."""

MLFLOW_ATTRIBUTES: Final[dict[str, AttributeName]] = {
    "run_id": "id",
    "run id": "id",
    "run_name": "name",
    "run name": "name",
    "Run name": "name",
    "Run Name": "name",
    "status": "status",
    "user_id": "actor",
    "start_time": "started_at",
    "created": "started_at",
    "Created": "started_at",
    "end_time": "ended_at",
}
"""Attributes by MLflow's names; times are milliseconds since 1970."""

NULLABLE: Final[tuple[AttributeName, ...]] = ("parent", "ended_at", "run_id", "draft_id")
INSTANTS: Final[tuple[AttributeName, ...]] = ("started_at", "ended_at", "created_at", "updated_at")
NUMBERS: Final[tuple[AttributeName, ...]] = ("number",)
DATASETS: Final[dict[str, DatasetPart]] = {"name": "name", "digest": "digest", "label": "label"}


Fields = Callable[[Section, str, str, str], "Named"]
"""The field of a section, a function or none, and a name; and how it was written."""


class Named(msgspec.Struct, frozen=True):
    """A field as it was written. ``best`` has still to learn which way is better."""

    field: Field
    spelt: str
    best: bool = False
    extended: str = ""
    """What about it MLflow does not know, as an error says it."""


def named(section: Section, function: str, name: str, spelt: str) -> Named:
    """The field. ``function`` is empty where none is called. Raises `Invalid` for one that does not exist."""
    if not name:
        raise Invalid(f"a name follows {section}., as in {section}.{_EXAMPLES[section]}")
    if function and section not in ("metrics", "params"):
        raise Invalid(f"{section} have no function {function!r}: write {section}.{name}")
    return _MAKERS[section](function, name, spelt)


def value_kind(field: Field) -> ValueKind:
    """What a value beside the field is."""
    if isinstance(field, Attribute):
        return "instant" if field.name in INSTANTS else "number" if field.name in NUMBERS else "text"
    if isinstance(field, MetricValue) or (isinstance(field, Param) and field.number):
        return "number"
    return "text"


def _metric(function: str, name: str, spelt: str) -> Named:
    extended = f"{function}() of a metric" if function else ""
    match function:
        case "" | "last":
            return Named(MetricValue(name), spelt, extended=extended)
        case "min":
            return Named(MetricValue(name, "min"), spelt, extended=extended)
        case "max":
            return Named(MetricValue(name, "max"), spelt, extended=extended)
        case "best":
            return Named(MetricValue(name), spelt, best=True, extended=extended)
    raise Invalid(
        f"metrics have no function {function!r}: there are last, min, max and best, as in metrics.max({name})"
    )


def _param(function: str, name: str, spelt: str) -> Named:
    if function not in ("", "number"):
        raise Invalid(f"params have no function {function!r}: there is number, as in params.number({name})")
    return Named(Param(name, number=bool(function)), spelt, extended="number() of a parameter" if function else "")


def _tag(_function: str, name: str, spelt: str) -> Named:
    return Named(Tag(name), spelt)


def _attribute(_function: str, name: str, spelt: str) -> Named:
    if name in MLFLOW_ATTRIBUTES:
        return Named(Attribute(MLFLOW_ATTRIBUTES[name]), spelt)
    if name in ATTRIBUTES:
        return Named(Attribute(ATTRIBUTES[name]), spelt, extended=f"the attribute {name!r}")
    raise Invalid(
        f"runs have no attribute {name[:80]!r}: there are {', '.join(ATTRIBUTES)}, in MLflow's words "
        f"{', '.join(one for one in MLFLOW_ATTRIBUTES if one.islower() and ' ' not in one)}; metrics, params and tags "
        f"are written metrics.{name[:40]}, params.…, tags.…"
    )


def _dataset(_function: str, name: str, spelt: str) -> Named:
    if name not in DATASETS:
        raise Invalid(f"datasets have no attribute {name[:80]!r}: there are {', '.join(DATASETS)}")
    return Named(Dataset(DATASETS[name]), spelt, extended="the label of a dataset" if name == "label" else "")


_EXAMPLES: Final[dict[Section, str]] = {
    "metrics": "auc",
    "params": "depth",
    "tags": "team",
    "attributes": "status",
    "datasets": "digest",
}
_MAKERS: Final[dict[Section, Callable[[str, str, str], Named]]] = {
    "metrics": _metric,
    "params": _param,
    "tags": _tag,
    "attributes": _attribute,
    "datasets": _dataset,
}
