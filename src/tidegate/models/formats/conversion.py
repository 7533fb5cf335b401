"""Believes a conversion to ONNX only where it answers like the original; converts scikit-learn models."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

from tidegate.models.formats.onnx import OnnxPredictor
from tidegate.models.formats.parts import parts
from tidegate.models.formats.protocol import Matrix, OnnxResult, Predictor
from tidegate.models.formats.verification import TOLERANCE, Probes, difference, probe
from tidegate.models.signature import Signature

OPSETS: Final = {"": 18, "ai.onnx.ml": 3}


def to_onnx(model: object, signature: Signature, examples: Matrix, native: Predictor) -> OnnxResult:
    """A scikit-learn model by skl2onnx, as a graph of one float32 matrix, if it is `verified`."""
    return verified(lambda: _convert(model, signature), signature, examples, native, extra="sklearn")


def verified(
    convert: Callable[[], bytes], signature: Signature, examples: Matrix, native: Predictor, *, extra: str
) -> OnnxResult:
    """Convert and compare the graph with `native`; see `verification.probe` for the rows.

    Refused, with the reason, when the conversion fails in any way, when a label differs, or when a row is off by more
    than 1e-5 (probabilities absolute, other outputs relative to max(1, |value|)). Never raises for a model's sake.
    """
    probes = probe(native, signature, examples)
    if not probes.taken or probes.taken[0].name != "training row":
        return OnnxResult(content=None, reason="the model does not answer its own training rows")
    try:
        with _stranger(extra):
            content = convert()
        return _verify(content, signature, probes, extra)
    except NotConvertedError as error:
        return OnnxResult(content=None, reason=f"not converted: {error}")


class NotConvertedError(Exception):
    """Why there is no graph, or none that runs."""


def _convert(model: Any, signature: Signature) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType

        def convert(options: dict[int, dict[str, bool]] | None) -> Any:
            return convert_sklearn(
                model,
                name="model",  # without it, skl2onnx draws a random one and no two conversions are equal
                initial_types=[("X", FloatTensorType([None, len(signature.columns)]))],
                options=options,
                target_opset=OPSETS,
            )

        try:
            graph = convert({id(model): {"zipmap": False}} if signature.task == "classification" else None)
        except NameError:  # an estimator inside knows no zipmap; a pipeline hands it on unless each is told nothing
            graph = convert({id(part): {} for part in parts(model) if hasattr(part, "get_params")})
    if signature.task == "classification" and not hasattr(model, "predict_proba"):
        del graph.graph.output[1:]  # skl2onnx calls raw scores probabilities
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _verify(content: bytes, signature: Signature, probes: Probes, extra: str) -> OnnxResult:
    with _stranger(extra):
        converted = OnnxPredictor(content, signature)
        answers = [converted.predict(one.matrix) for one in probes.taken]
    rows, worst = 0, 0.0
    for one, expected, answer in zip(probes.taken, probes.answers, answers, strict=True):
        off = difference(expected, answer, signature)
        rows += len(one.matrix)
        worst = max(worst, off.distance)
        if off.distance > TOLERANCE:
            how_far = "differs" if off.distance == float("inf") else f"is off by {off.distance:.2g}"
            reason = f"not equal to the model: {one.name} ({off.row}): {off.what} {how_far} (allowed {TOLERANCE:g})"
            if one.nulls and not any(column.nullable for column in one.nulls):
                reason += "; the column had no null in training: a signature with missing_feature='refuse' may get ONNX"
            return OnnxResult(content=None, reason=reason, rows=rows, worst=worst)
    plain = len(probes.taken[0].matrix)
    reason = (
        f"equal on {plain:,} training rows and {rows - plain:,} with nulls and unseen categories, worst {worst:.2g}"
    )
    return OnnxResult(content=content, reason=reason, rows=rows, worst=worst)


@contextlib.contextmanager
def _stranger(extra: str) -> Iterator[None]:
    """Run foreign code without its noise; however it fails, the model is not converted, and we know why."""
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            yield
    except NotConvertedError:
        raise
    except ImportError as error:
        raise NotConvertedError(f"{error.name} is missing: pip install 'tidegate[{extra}]'") from error
    except Exception as error:
        first = (str(error).strip() or "no message").split("\n")[0]
        raise NotConvertedError(f"{type(error).__name__}: {first[:300]}") from error
