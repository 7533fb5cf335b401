"""Models of PyTorch, kept as ONNX alone: a server neither needs PyTorch nor reads a file of it.

An exported program (`.pt2`) is no safe file: `torch.export.load` unpickles what its archive marks as pickled, and hands
expressions that it finds to an evaluator. So a program is exported and converted where it is logged, by its maker.
"""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import numpy as np

from tidegate.kernel.errors import Invalid, Refused, Unavailable
from tidegate.models.formats.classes import labelled
from tidegate.models.formats.conversion import verified
from tidegate.models.formats.onnx import FILE
from tidegate.models.formats.onnx import FORMAT as ONNX
from tidegate.models.formats.onnx_labels import label_nodes
from tidegate.models.formats.protocol import Matrix, Outputs, Predictor, Saved
from tidegate.models.signature import Signature

OPSET: Final = 18
NEAR_ONE: Final = 1e-3
"""How far the probabilities of a row may be from a sum of 1, in float32 and after a softmax of many classes."""


class TorchPredictor:
    """A module in the process that logs it: what its ONNX is compared with."""

    def __init__(self, module: Any, signature: Signature) -> None:
        self._module = module
        self._signature = signature

    def predict(self, matrix: Matrix) -> Outputs:
        """Answer a float32 matrix. Raises `Invalid` for rows that it does not take, `Refused` for strange answers."""
        torch = _library()
        try:
            with torch.inference_mode():
                tensor = self._module(torch.from_numpy(matrix.copy()))
            answers = np.asarray(tensor.numpy())
        except Exception as error:  # a module is foreign code
            first = (str(error).strip() or type(error).__name__).split("\n")[0]
            raise Invalid(f"the PyTorch model does not take these rows of a float32 matrix: {first[:300]}") from error
        if _is_column(answers.shape):
            answers = answers.ravel()
        classes = self._signature.classes
        wanted = {(len(matrix), len(classes)), *([(len(matrix),)] if len(classes) in {0, 2} else [])}
        if answers.shape not in wanted:
            raise Refused(
                f"the PyTorch model answers shape {answers.shape} to {len(matrix)} rows; served is one value a row, or "
                "one probability for each class"
            )
        if not classes:
            return Outputs(answers.astype(np.float64).tolist())
        _check_probabilities(answers)
        return labelled(answers, classes)


class TorchFormat:
    """Keeps modules and exported programs of PyTorch that take one float32 matrix.

    A regression answers (rows,) or (rows, 1). A classification answers probabilities: of each class in sorted order, or
    of the second of two.
    """

    name: Final = "torch"
    extra: Final = "torch"

    def claims(self, model: object) -> bool:
        """Whether this is a module of PyTorch, or an exported program."""
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(model, torch.nn.Module | torch.export.ExportedProgram)

    def save(self, model: object, signature: Signature, examples: Matrix) -> Saved:
        """The model as an ONNX file that was verified against it. Raises `Refused` where there is none."""
        torch = _library()
        with _evaluating(model) as module:
            native = TorchPredictor(module, signature)
            native.predict(examples[:2])
            result = verified(lambda: _convert(model, signature), signature, examples, native, extra="torch")
        if result.content is None:
            raise Refused(f"a PyTorch model is kept as ONNX, and {type(model).__name__} has none: {result.reason}")
        facts = {
            "estimator": type(model).__name__,
            "framework": f"PyTorch {torch.__version__}",
            "onnx": result.reason,
            "onnx_rows": str(result.rows),
            "onnx_worst": f"{result.worst:.3g}",
        }
        return Saved({FILE: result.content}, facts, ("onnx", "onnxscript", "torch"))

    def load(self, files: dict[str, bytes], signature: Signature) -> Predictor:
        """The ONNX graph; PyTorch is not needed."""
        return ONNX.load(files, signature)


FORMAT = TorchFormat()


def _library() -> Any:
    try:
        torch = import_module("torch")
        import_module("torch.export")
        import_module("torch.onnx")
    except ImportError as error:
        raise Unavailable("logging models of PyTorch needs the extra: pip install 'tidegate[torch]'") from error
    return torch


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[Any]:
    """The model as a module that does not train: no drop-out, fixed norms. Afterwards it is as it was."""
    torch = _library()
    if isinstance(model, torch.export.ExportedProgram):
        yield model.module()
        return
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield model
    finally:
        for part in training:
            part.training = True


def _convert(model: Any, signature: Signature) -> bytes:
    """The graph of PyTorch's exporter, without the places in the source that it notes, and with labels at its end."""
    torch = _library()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not isinstance(model, torch.export.ExportedProgram):
            rows = torch.export.Dim("rows")
            example = torch.zeros((2, len(signature.columns)))
            model = torch.export.export(model, (example,), dynamic_shapes=({0: rows},))
        program = torch.onnx.export(model, dynamo=True, verbose=False, opset_version=OPSET)
        proto = program.model_proto
    _forget_places(proto)
    if signature.task == "classification":
        _add_labels(proto, signature)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _forget_places(proto: Any) -> None:
    graphs = [proto.graph, *proto.functions]
    proto.ClearField("metadata_props")
    for graph in graphs:
        for part in (
            graph,
            *graph.node,
            *graph.value_info,
            *getattr(graph, "input", ()),
            *getattr(graph, "output", ()),
        ):
            for field in ("metadata_props", "doc_string"):
                if hasattr(part, field):
                    part.ClearField(field)
        graphs.extend(attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))


def _add_labels(proto: Any, signature: Signature) -> None:
    from onnx import TensorProto, helper

    graph = proto.graph
    scores = graph.output[0]
    shape = [one.dim_value or None for one in scores.type.tensor_type.shape.dim]
    at, single = scores.name, len(shape) == 1 or shape[-1] == 1
    if single:
        graph.initializer.append(helper.make_tensor("label/column", TensorProto.INT64, [2], [-1, 1]))
        graph.node.append(helper.make_node("Reshape", [at, "label/column"], ["label/scores"]))
        at = "label/scores"
    nodes, constants, outputs = label_nodes(at, single, signature.classes)
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    del graph.output[:]
    graph.output.extend(outputs)


def _is_column(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[1] == 1


def _check_probabilities(answers: Any) -> None:
    """A score is no probability, and nobody can tell by which function it would become one."""
    known = answers[~np.isnan(answers).reshape(len(answers), -1).any(axis=1)]
    within = bool(np.all((known >= 0.0) & (known <= 1.0)))
    if not within or (known.ndim == 2 and np.any(np.abs(known.sum(axis=1) - 1.0) > NEAR_ONE)):
        raise Refused("the PyTorch model answers scores, not probabilities: let it end with a softmax, or a sigmoid")
