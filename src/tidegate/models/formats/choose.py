"""Saves a model in its own format with verified ONNX beside it, and loads the runtime that was chosen then."""

import contextlib
import platform
from typing import Final

import msgspec
import numpy as np

from tidegate.kernel.errors import Internal, Invalid, Refused
from tidegate.kernel.plugins import load_plugin, plugin_names
from tidegate.models.formats.dependencies import pinned
from tidegate.models.formats.onnx import FILE as ONNX_FILE
from tidegate.models.formats.protocol import Convertible, Format, Matrix, Numbering, Predictor, Preparing, Saved
from tidegate.models.formats.verification import Probes, probe, tightened
from tidegate.models.signature import Signature

GROUP: Final = "tidegate.formats"


class SavedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model ready to be kept.

    `runtime`: the format that answers in serving. `signature`: the one to serve by, stricter than the one given where
    the model does not take nulls. `facts`: what was checked, why ONNX was taken or not, and the exact versions of
    Python and of the packages that matter, for the record.
    """

    format: str
    runtime: str
    signature: Signature
    files: dict[str, bytes]
    facts: dict[str, str]


def save_model(model: object, signature: Signature, examples: Matrix) -> SavedModel:
    """The model in its native format, and as ONNX beside it where that answers the same.

    `examples` are its training rows, coded by the signature: float32 of shape (rows, columns), at least one row.
    Raises `Refused` for a model that no format keeps safely, or that does not answer its own training rows.
    """
    examples = _checked(examples, signature)
    chosen = _format_of(model)
    saved = chosen.save(model, signature, examples)
    runtime = "onnx" if set(saved.files) == {ONNX_FILE} else chosen.name
    native = load_predictor(saved.files, runtime, signature)
    probes = probe(native, signature, examples)
    if not probes.taken or probes.taken[0].name != "training row":
        native.predict(examples)  # says why, where it raises
        raise Refused(f"{type(model).__name__} answers NaN to its own training rows: log a model that answers them")
    refusing = sorted({one.nulls[0].name for one in probes.refused if len(one.nulls) == 1})
    served = tightened(signature, refusing)
    facts = {**saved.facts, "format": chosen.name, "runtime": runtime, **_facts_of(probes, refusing)}
    files = dict(saved.files)
    if isinstance(chosen, Convertible):
        result = chosen.to_onnx(model, served, examples, native)
        facts |= {"onnx": result.reason, "onnx_rows": str(result.rows), "onnx_worst": f"{result.worst:.3g}"}
        if result.content is not None:
            files[ONNX_FILE] = result.content
            facts["runtime"] = "onnx"
    facts |= {"python": platform.python_version(), "dependencies": pinned("numpy", "onnxruntime", *saved.requires)}
    return SavedModel(format=chosen.name, runtime=facts["runtime"], signature=served, files=files, facts=facts)


def get_ready() -> None:
    """Load what the formats of the frameworks that are loaded take to save a model; what is not there is not missed."""
    for name in plugin_names(GROUP):
        with contextlib.suppress(Exception):
            plugin = load_plugin(GROUP, name)
            if isinstance(plugin, Preparing):
                plugin.get_ready()


def target_of(model: object, labels: object) -> object:
    """What tells a model's task and classes: the fitted model where it knows them, else its training labels."""
    chosen = _claimant(model)
    if isinstance(chosen, Numbering):
        classes = chosen.classes(model, labels)
        if classes is not None:
            return np.array(classes, dtype=object) if classes else np.zeros(1)
    target = model if hasattr(model, "predict") else labels
    if target is None:
        raise Invalid(f"a {type(model).__name__} does not say what it answers: give inputs with y, the training labels")
    return target


def load_predictor(files: dict[str, bytes], runtime: str, signature: Signature) -> Predictor:
    """The model of these files, answered by one of the runtimes that it was saved for."""
    return _loaded(runtime).load(files, signature)


def _checked(examples: Matrix, signature: Signature) -> Matrix:
    if examples.ndim != 2 or examples.shape[1] != len(signature.columns) or not len(examples):
        wanted = f"(rows, {len(signature.columns)})"
        raise Invalid(f"examples must have the shape {wanted} with at least one row; they have {examples.shape}")
    return np.ascontiguousarray(examples, dtype=np.float32)


def _format_of(model: object) -> Format:
    found = _claimant(model)
    if found is None:
        names = ", ".join(plugin_names(GROUP)) or "none"
        raise Refused(f"no format keeps a {type(model).__name__}; the formats are {names}")
    return found


def _claimant(model: object) -> Format | None:
    return next((found for found in map(_loaded, plugin_names(GROUP)) if found.claims(model)), None)


def _loaded(name: str) -> Format:
    found = load_plugin(GROUP, name)
    if not isinstance(found, Format):
        raise Internal(f"the plug-in {name!r} of {GROUP} is no format: it lacks claims, save or load")
    return found


def _facts_of(probes: Probes, refusing: list[str]) -> dict[str, str]:
    facts = {}
    if refusing:
        facts["nulls"] = (
            f"the model does not take null in {', '.join(refusing)}: these columns are not nullable, "
            "and rows that lack a feature are refused"
        )
    others = [one.name for one in probes.refused if len(one.nulls) != 1]
    if others:
        facts["left_out"] = f"the model does not take rows with {'; '.join(others)}: serving refuses them"
    return facts


__all__ = ["Saved", "SavedModel", "load_predictor", "save_model", "target_of"]
