"""Models as ONNX, answered by onnxruntime on one thread."""

import sys
from typing import Any, Final

from tidegate.kernel.errors import Invalid, Refused
from tidegate.models.formats.protocol import Matrix, Outputs, Predictor, Saved
from tidegate.models.signature import Label, Signature

FILE: Final = "model.onnx"


class OnnxPredictor:
    """An ONNX graph with one float32 input of shape (n, columns).

    A classification's first output is its labels, its second, if any, their probabilities; a regression has one output.
    """

    __slots__ = ("_classification", "_input", "_labels", "_outputs", "_run")

    def __init__(self, content: bytes, signature: Signature) -> None:
        session = _session(content)
        self._run: Any = session.run
        self._classification = signature.task == "classification"
        self._labels: dict[Label, Label] = {label: label for label in signature.classes}
        self._input = _only_input(session, len(signature.columns))
        self._outputs = _outputs(session, signature)

    def predict(self, matrix: Matrix) -> Outputs:
        """Answer a float32 matrix in signature order."""
        answers = self._run(self._outputs, {self._input: matrix})
        if not self._classification:
            return Outputs(answers[0].ravel().tolist())
        labels = self._labels
        try:
            # the graph knows 1 where the model knows True or 1.0: equal, and so the same key
            values = [labels[value] for value in answers[0].ravel().tolist()]
        except KeyError as error:
            raise Invalid(f"the ONNX model answered the class {error}, which its signature does not list") from error
        return Outputs(values, answers[1] if len(answers) > 1 else None)


class OnnxFormat:
    """Keeps models that are ONNX already (an `onnx.ModelProto`), and loads every ONNX file."""

    name: Final = "onnx"
    extra: Final = None

    def claims(self, model: object) -> bool:
        """Whether this is an `onnx.ModelProto`."""
        onnx = sys.modules.get("onnx")
        return onnx is not None and isinstance(model, onnx.ModelProto)

    def save(self, model: object, signature: Signature, examples: Matrix) -> Saved:
        """The graph as one file, after it has answered the examples."""
        graph: Any = model
        outside = [tensor.name for tensor in graph.graph.initializer if tensor.data_location == 1]
        if outside:
            raise Refused(f"the ONNX model keeps {outside[0]!r} in another file: save it with its data inside")
        content: bytes = graph.SerializeToString(deterministic=True)
        answered = OnnxPredictor(content, signature).predict(examples[:32])
        if len(answered.values) != min(32, len(examples)):
            raise Refused(f"the ONNX model answers {len(answered.values)} values to {min(32, len(examples))} rows")
        opsets = ", ".join(f"{opset.domain or 'ai.onnx'} {opset.version}" for opset in graph.opset_import)
        return Saved({FILE: content}, {"framework": f"ONNX ({opsets})"}, ("onnx",))

    def load(self, files: dict[str, bytes], signature: Signature) -> Predictor:
        """A session over the bytes; nothing outside them is read."""
        if FILE not in files:
            raise Invalid(f"this model has no {FILE}; it has {', '.join(sorted(files)) or 'no files'}")
        return OnnxPredictor(files[FILE], signature)


FORMAT = OnnxFormat()


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no public root for its errors
        raise Invalid(f"onnxruntime does not load this model: {str(error)[:400]}") from error


def _only_input(session: Any, width: int) -> str:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
        shapes = ", ".join(f"{one.name}: {one.type} {one.shape}" for one in inputs)
        raise Refused(f"an ONNX model must take one float32 matrix of shape (rows, columns); this one takes {shapes}")
    columns = inputs[0].shape[1]
    if isinstance(columns, int) and columns != width:
        raise Invalid(f"the ONNX model takes {columns} columns and its signature has {width}")
    return str(inputs[0].name)


def _outputs(session: Any, signature: Signature) -> list[str]:
    outputs = session.get_outputs()
    most = 2 if signature.task == "classification" else 1
    if len(outputs) > most or any(not one.type.startswith("tensor(") for one in outputs):
        given = ", ".join(f"{one.name}: {one.type}" for one in outputs)
        raise Refused(
            f"an ONNX {signature.task} must answer {'labels and probabilities' if most == 2 else 'one tensor'}, "
            f"as tensors (zipmap off); this one answers {given}"
        )
    if len(outputs) == 2:
        classes = outputs[1].shape[-1] if outputs[1].shape else None
        if isinstance(classes, int) and classes != len(signature.classes):
            raise Invalid(f"the ONNX model has {classes} classes and its signature {len(signature.classes)}")
    return [str(one.name) for one in outputs]
