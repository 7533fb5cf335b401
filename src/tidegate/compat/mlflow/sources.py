"""Where a version of a model comes from, as a client writes it.

A source names something that this server keeps: a logged model, a run's artifacts, another version. It is compared
with these forms as a whole and then looked up; whatever else it may be, a folder, an address, a form with a host, a
query or an escape, is refused and never opened.
"""

import re
from typing import Final

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.kernel.names import MODEL_NAME
from tidegate.runs.rules import check_artifact_name

_HEX: Final = "[0-9a-f]{32}"
_NAME: Final = MODEL_NAME
_FORMS: Final = tuple(
    re.compile(form)
    for form in (
        rf"models:/m-(?P<draft>{_HEX})/?",
        rf"models:/(?P<name>{_NAME})/(?P<number>[0-9]{{1,9}})/?",
        rf"models:/(?P<name>{_NAME})@(?P<alias>{_NAME})/?",
        rf"runs:/(?P<run>{_HEX})(?:/(?P<path>[^\x00-\x1f]+?))?/?",
        rf"mlflow-artifacts:/(?:0|{_HEX})/models/m-(?P<draft>{_HEX})/artifacts/?",
        rf"mlflow-artifacts:/(?:0|{_HEX})/(?P<run>{_HEX})/artifacts(?:/(?P<path>[^\x00-\x1f]+?))?/?",
        rf"mlflow-artifacts:/models/(?P<name>{_NAME})/(?P<number>[0-9]{{1,9}})/?",
    )
)


class Source(msgspec.Struct, frozen=True):
    """What a source names: a draft, a version by its reference, or a run and a path in its artifacts."""

    draft: str = ""
    version: str = ""
    run: str = ""
    path: str = ""


def parse_source(text: str) -> Source:
    """What a client's source names. Raises `Invalid` for all that is not kept here."""
    found = next((match.groupdict() for form in _FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        raise Invalid(
            f"Invalid model version source: {text[:200]!r}. A source names what this server keeps: "
            "models:/m-ID, models:/NAME/VERSION, runs:/RUN_ID/PATH or mlflow-artifacts:/EXPERIMENT_ID/RUN_ID/artifacts/"
            "PATH; folders, other schemes and hosts are never read: log the model here first",
            field="source",
        )
    if found.get("draft"):
        return Source(draft=found["draft"])
    if found.get("name"):
        number, alias = found.get("number"), found.get("alias")
        return Source(version=f"{found['name']}/{number}" if number else f"{found['name']}@{alias}")
    path = found.get("path") or ""
    if path:
        check_artifact_name(path)
    return Source(run=found["run"], path=path)
