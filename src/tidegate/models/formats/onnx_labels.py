"""The end of an ONNX graph that classifies: labels and probabilities."""

from typing import Any

from tidegate.models.signature import Label


def label_nodes(at: str, single: bool, classes: tuple[Label, ...]) -> tuple[list[Any], list[Any], list[Any]]:
    """The nodes, constants and outputs that make labels and probabilities of the tensor `at`.

    It holds the probability of the second of two classes, shape (rows, 1), where it is `single`; else of each class.
    """
    from onnx import TensorProto
    from onnx import helper as typed

    helper: Any = typed
    kind: int
    values: list[Any]
    if isinstance(classes[0], str):
        kind, values = TensorProto.STRING, [str(label).encode() for label in classes]
    elif all(float(label) == int(label) for label in classes):
        kind, values = TensorProto.INT64, [int(label) for label in classes]
    else:
        kind, values = TensorProto.DOUBLE, [float(label) for label in classes]
    constants = [helper.make_tensor("label/classes", kind, [len(classes)], values)]
    if single:
        constants += [
            helper.make_tensor("label/one", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("label/half", TensorProto.FLOAT, [1], [0.5]),
            helper.make_tensor("label/row", TensorProto.INT64, [1], [-1]),
        ]
        nodes = [
            helper.make_node("Sub", ["label/one", at], ["label/first"]),
            helper.make_node("Concat", ["label/first", at], ["probabilities"], axis=1),
            helper.make_node("Greater", [at, "label/half"], ["label/second"]),
            helper.make_node("Cast", ["label/second"], ["label/places"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["label/places", "label/row"], ["label/place"]),
        ]
    else:
        nodes = [
            helper.make_node("Identity", [at], ["probabilities"]),
            helper.make_node("ArgMax", [at], ["label/place"], axis=1, keepdims=0),
        ]
    nodes.append(helper.make_node("Gather", ["label/classes", "label/place"], ["labels"]))
    outputs = [
        helper.make_tensor_value_info("labels", kind, [None]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(classes)]),
    ]
    return nodes, constants, outputs
