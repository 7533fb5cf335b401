"""What a draft may be told, and what is read of its files: pure functions."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tidegate.kernel.errors import Conflict, Invalid
from tidegate.models.records import PYFUNC, Cell, DraftMetric, Manifest
from tidegate.models.signature import Encoder, Signature
from tidegate.runs.records import Artifact, Metric
from tidegate.runs.rules import MOST_STEPS, check_artifact_name, check_run_name
from tidegate.runs.rules import check_metrics as check_measured
from tidegate.runs.rules import check_params as check_texts

FORMAT: Final = "mlflow"
"""The format of a version whose files are a directory as MLflow makes it; it has no runtime of ours."""

DESCRIPTION: Final = "MLmodel"
"""The file in which such a directory says what it holds."""

MOST_DESCRIPTION: Final = 1 << 20
"""Bytes of it that are read."""

MOST_DATASET: Final = 500
MOST_DIGEST: Final = 36

_FLAVOR: Final = re.compile(r" {2}([A-Za-z_][\w.]{0,60}):")


def check_draft(name: str, kind: str) -> None:
    """Raise `Invalid` unless name and kind can be kept: a name is a part of references such as ``runs:/ID/NAME``."""
    if not name or any(character in name for character in "/:.%\"'"):
        raise Invalid(
            f"Invalid model name: {name[:80]!r}. A draft's name is not empty and holds none of / : . % \" '",
            field="name",
        )
    check_run_name(name)
    check_run_name(kind)


def check_params(given: Mapping[str, str], kept: Mapping[str, str]) -> None:
    """Raise `Invalid` for what cannot be kept, `Conflict` for a parameter that has another value."""
    check_texts(given)
    for name, text in given.items():
        if kept.get(name, text) != text:
            raise Conflict(f"parameter {name!r} is {kept[name]!r}, and keeps its first value", field=f"params.{name}")


def check_metrics(metrics: Sequence[DraftMetric]) -> None:
    """Raise `Invalid` for a measurement that cannot be kept."""
    check_measured(Metric(name=one.name, value=one.value, step=one.step) for one in metrics)
    for one in metrics:
        if len(one.dataset) > MOST_DATASET or len(one.dataset_digest) > MOST_DIGEST or len(one.run_id) > 32:
            raise Invalid(
                f"metric {one.name!r}: a dataset's name has at most {MOST_DATASET} characters, "
                f"its digest {MOST_DIGEST}, a run's id 32",
                field="metrics",
            )


def check_step(step: int) -> None:
    """Raise `Invalid` for a step that needs more than 64 bits."""
    if abs(step) > MOST_STEPS:
        raise Invalid(f"step {step} needs more than 64 bits", field="step")


def below(artifacts: Sequence[Artifact], path: str) -> tuple[Artifact, ...]:
    """The artifacts below a path, each by its path from there."""
    if not path:
        return tuple(artifacts)
    check_artifact_name(path)
    found = [one for one in artifacts if one.name.startswith(f"{path}/")]
    return tuple(Artifact(one.name[len(path) + 1 :], one.digest, one.bytes) for one in found)


def answering(manifest: Manifest, signature: Signature, example: tuple[dict[str, Cell], ...]) -> Manifest:
    """The manifest of a directory that a process of its own may answer, by this signature. Raises `Invalid`."""
    found = manifest.facts.get("flavors", "").split(", ")
    if manifest.format != FORMAT or "python_function" not in found:
        raise Invalid(
            f"only a directory of MLflow with the flavor python_function is answered by a process of its own; this is "
            f"of format {manifest.format!r} with the flavors {manifest.facts.get('flavors') or 'none'}",
            field="signature",
        )
    if example:
        Encoder(signature).encode(example)
    return msgspec.structs.replace(manifest, signature=signature, runtime=PYFUNC, example=example)


def flavors(description: bytes) -> str:
    """The flavors that a description lists, such as ``python_function, sklearn``; only for people to read.

    Read line by line: it is somebody's YAML, and no parser of it is asked.
    """
    names: list[str] = []
    inside = False
    for line in description.decode("utf-8", "replace").splitlines():
        if line and not line.startswith(" "):
            inside = line.rstrip() == "flavors:"
        elif inside and (found := _FLAVOR.match(line)) and len(names) < 20:
            names.append(found[1])
    return ", ".join(names)
