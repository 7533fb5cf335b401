"""The fields that a filter or an order of experiments may name."""

from typing import Final

from tidegate.kernel.errors import Invalid
from tidegate.runs.search.ast import Attribute, AttributeName, Tag
from tidegate.runs.search.fields import Named, Section

ATTRIBUTES: Final[dict[str, AttributeName]] = {
    "id": "id",
    "name": "name",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
"""Attributes by the names of an experiment's record."""

MLFLOW_ATTRIBUTES: Final[dict[str, AttributeName]] = {
    "experiment_id": "id",
    "name": "name",
    "creation_time": "created_at",
    "last_update_time": "updated_at",
}
"""Attributes by MLflow's names; times are milliseconds since 1970."""


def named_of_experiments(section: Section, function: str, name: str, spelt: str) -> Named:
    """The field. Raises `Invalid` for one that does not exist."""
    if not name or function:
        raise Invalid(f"{spelt} is no field of experiments: a name follows, as in tags.team")
    if section == "tags":
        return Named(Tag(name), spelt)
    if section != "attributes":
        raise Invalid(f"experiments have no {section}: there are attributes and tags")
    if name in MLFLOW_ATTRIBUTES:
        return Named(Attribute(MLFLOW_ATTRIBUTES[name]), spelt)
    if name in ATTRIBUTES:
        return Named(Attribute(ATTRIBUTES[name]), spelt, extended=f"the attribute {name!r}")
    raise Invalid(
        f"experiments have no attribute {name[:80]!r}: there are {', '.join(ATTRIBUTES)}, in MLflow's words "
        f"{', '.join(MLFLOW_ATTRIBUTES)}; tags are written tags.{name[:40]}"
    )
