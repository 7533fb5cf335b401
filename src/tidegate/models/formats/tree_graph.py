"""Ensembles of trees as ONNX graphs of one float32 matrix, exact in every comparison."""

from typing import Any, Final

import numpy as np

from tidegate.models.formats.conversion import NotConvertedError
from tidegate.models.formats.onnx_labels import label_nodes
from tidegate.models.formats.trees import Ensemble, Tree
from tidegate.models.signature import Signature

OPSETS: Final = {"": 18, "ai.onnx.ml": 3}
IR_VERSION: Final = 8

LINKS: Final = {
    "identity": (),
    "exponential": ("Exp",),
    "logistic": ("Sigmoid",),
    "log1p of exponential": ("Softplus",),
    "softmax": ("Softmax",),
}
"""Each way from scores to answers, as the ONNX operators that do it."""


def tree_graph(ensemble: Ensemble, signature: Signature) -> bytes:
    """The ensemble as a model: labels and probabilities of a classification, one value a row of a regression.

    Raises `NotConvertedError` where ONNX has no exact counterpart.
    """
    from onnx import TensorProto
    from onnx import helper as typed

    helper: Any = typed
    if ensemble.link not in LINKS:
        raise NotConvertedError(f"there is no ONNX for {ensemble.link}")
    nodes = [_forest(ensemble, signature)]
    at = "scores"
    if ensemble.sharpness != 1.0:
        nodes.append(helper.make_node("Mul", [at, "sharpness"], ["sharpened"]))
        at = "sharpened"
    for operator in LINKS[ensemble.link]:
        nodes.append(helper.make_node(operator, [at], ["linked"], **({"axis": 1} if operator == "Softmax" else {})))
        at = "linked"
    constants = [helper.make_tensor("sharpness", TensorProto.FLOAT, [1], [ensemble.sharpness])]
    outputs = [helper.make_tensor_value_info(at, TensorProto.FLOAT, [None, 1])]
    if signature.task == "classification":
        more, labels, outputs = label_nodes(at, len(ensemble.base) == 1, signature.classes)
        nodes, constants = [*nodes, *more], [*constants, *labels]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, len(signature.columns)])],
        outputs,
        [constant for constant in constants if constant.name in used],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tidegate")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _forest(ensemble: Ensemble, signature: Signature) -> Any:
    """The trees as one operator.

    The base is a tree of one leaf before all others: so the sums are rounded in the order of the libraries.
    """
    from onnx import helper as typed

    helper: Any = typed
    rows = _Rows("BRANCH_LEQ" if ensemble.inclusive else "BRANCH_LT")
    for group, value in enumerate(ensemble.base):
        rows.add(_leaf(value, group), ensemble.inclusive)
    for tree in ensemble.trees:
        _refuse_numbers(tree, signature)
        rows.add(tree, ensemble.inclusive)
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["scores"],
        domain="ai.onnx.ml",
        n_targets=len(ensemble.base),
        aggregate_function="SUM",
        post_transform="NONE",
        **rows.nodes,
        **rows.leaves,
    )


def _leaf(value: float, group: int) -> Tree:
    none, nothing = np.full(1, -1), np.zeros(1)
    return Tree(
        left=none, right=none, feature=np.zeros(1, dtype=np.int64), threshold=nothing,
        null_left=np.zeros(1, dtype=np.bool_), value=np.array([value]), group=group,
    )  # fmt: skip


def _refuse_numbers(tree: Tree, signature: Signature) -> None:
    """A library rounds what it splits by category; only codes are whole already."""
    for node in tree.categories:
        column = signature.columns[int(tree.feature[node])]
        if column.kind == "number":
            raise NotConvertedError(f"{column.name} is a number, but the model splits it by category")


class _Rows:
    """The attributes of the operator, filled tree by tree."""

    def __init__(self, mode: str) -> None:
        self.trees = 0
        self._mode = mode
        self.nodes: dict[str, list[Any]] = {
            f"nodes_{name}": []
            for name in (
                "treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
                "missing_value_tracks_true",
            )
        }  # fmt: skip
        self.leaves: dict[str, list[Any]] = {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}

    def add(self, tree: Tree, inclusive: bool) -> None:
        """One tree; a node of several categories becomes a chain of nodes, one for each, that lead to one child."""
        thresholds = _as_float32(tree.threshold, inclusive)
        following = len(tree.left)
        for node in _reached(tree):
            left, right = int(tree.left[node]), int(tree.right[node])
            if left == -1:
                self._node(node, 0, ("LEAF", 0.0), (0, 0), False)
                self._leaf(node, tree.group, float(tree.value[node]))
                continue
            feature, null_left = int(tree.feature[node]), bool(tree.null_left[node])
            if node not in tree.categories:
                self._node(node, feature, (self._mode, float(thresholds[node])), (left, right), null_left)
                continue
            codes = tree.categories[node] or (-1,)  # no code is negative: none of them goes left
            at = node
            for place, code in enumerate(codes):
                last = place == len(codes) - 1
                self._node(at, feature, ("BRANCH_EQ", float(code)), (left, right if last else following), null_left)
                at, following = following, following + (not last)
        self.trees += 1

    def _node(
        self, node: int, feature: int, test: tuple[str, float], children: tuple[int, int], null_left: bool
    ) -> None:
        values = (self.trees, node, feature, *test, *children, int(null_left))
        for column, one in zip(self.nodes.values(), values, strict=True):
            column.append(one)

    def _leaf(self, node: int, group: int, value: float) -> None:
        for column, one in zip(self.leaves.values(), (self.trees, node, group, value), strict=True):
            column.append(one)


def _reached(tree: Tree) -> list[int]:
    """Every node that a row can reach: pruning leaves others behind in a file."""
    found = [0]
    for node in found:
        if tree.left[node] != -1:
            found += (int(tree.left[node]), int(tree.right[node]))
    return found


def _as_float32(thresholds: Any, inclusive: bool) -> Any:
    """The float32 thresholds that divide float32 features as these doubles do.

    `x <= t` holds for the same x when t is rounded down, and `x < t` when it is rounded up.
    """
    with np.errstate(over="ignore"):
        near = thresholds.astype(np.float32)
    wide = near.astype(np.float64)
    if inclusive:
        return np.where(wide > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
    return np.where(wide < thresholds, np.nextafter(near, np.float32(np.inf)), near)
