"""What a draft may be told, and what is read of its files: pure functions."""

from collections.abc import Mapping, Sequence
from typing import Final

from tidegate.kernel.errors import Conflict, Invalid
from tidegate.models.mlmodel import FLAVOR, FORMAT, signed
from tidegate.models.records import Cell, DraftMetric, Manifest
from tidegate.models.signature import Encoder, Signature
from tidegate.runs.records import Artifact, Metric
from tidegate.runs.rules import MOST_STEPS, check_artifact_name, check_run_name
from tidegate.runs.rules import check_metrics as check_measured
from tidegate.runs.rules import check_params as check_texts

MOST_DATASET: Final = 500
MOST_DIGEST: Final = 36


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


def check_told(
    manifest: Manifest, signature: Signature | None, example: Sequence[object], classes: Sequence[object]
) -> None:
    """Raise `Invalid` where what is said of a directory does not go together."""
    if example and signature is None:
        raise Invalid("an example needs the signature by which it is read", field="example")
    if classes and (signature is not None or manifest.signature is not None):
        raise Invalid("the signature names the classes: leave them out, or give another signature", field="classes")
    if classes and manifest.format != FORMAT:
        raise Invalid(f"classes are told of directories of MLflow, not of format {manifest.format!r}", field="classes")


def answering(manifest: Manifest, signature: Signature, example: tuple[dict[str, Cell], ...]) -> Manifest:
    """The manifest of a directory that a process of its own may answer, by this signature. Raises `Invalid`."""
    found = manifest.facts.get("flavors", "").split(", ")
    if manifest.format != FORMAT or FLAVOR not in found:
        raise Invalid(
            f"only a directory of MLflow with the flavor {FLAVOR} is answered by a process of its own; this is "
            f"of format {manifest.format!r} with the flavors {manifest.facts.get('flavors') or 'none'}",
            field="signature",
        )
    if example:
        Encoder(signature).encode(example)
    return signed(manifest, signature, example)
