"""Random ensembles of trees against a reading of them row by row: the graph goes the same way at every node."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.kernel.errors import Refused
from tidegate.kernel.schema import Column
from tidegate.models.formats.onnx import OnnxPredictor
from tidegate.models.formats.protocol import Matrix
from tidegate.models.formats.tree_graph import tree_graph
from tidegate.models.formats.trees import DEEPEST, Ensemble, Tree, check_tree
from tidegate.models.signature import Signature

CODES = 6
COLUMNS = (
    Column("wind", "number", True),
    Column("carrier", "category", True, tuple("abcdef")),
)
REGRESSION = Signature(columns=COLUMNS, task="regression")
CLASSES = Signature(columns=COLUMNS, task="classification", classes=("late", "on time", "early"))
LATE = Signature(columns=COLUMNS, task="classification", classes=(False, True))

THRESHOLDS = st.one_of(
    st.sampled_from([0.0, 0.1, 1.0, -2.5, 16777217.0, 1e-46, math.inf, -math.inf]),
    st.floats(-3, 3, allow_nan=False),
)


@st.composite
def trees(draw: Any, groups: int) -> Tree:
    """A tree of up to eight leaves, grown leaf by leaf."""
    left, right = [-1], [-1]
    feature, threshold, null_left = [0], [0.0], [False]
    categories: dict[int, tuple[int, ...]] = {}
    for _ in range(draw(st.integers(0, 7))):
        node = draw(st.sampled_from([place for place, child in enumerate(left) if child == -1]))
        left[node], right[node] = len(left), len(left) + 1
        feature[node], null_left[node] = draw(st.integers(0, 1)), draw(st.booleans())
        if feature[node] == 1:
            categories[node] = tuple(sorted(draw(st.sets(st.integers(0, CODES - 1)))))
        else:
            threshold[node] = draw(THRESHOLDS)
        left += [-1, -1]
        right += [-1, -1]
        feature, threshold, null_left = [*feature, 0, 0], [*threshold, 0.0, 0.0], [*null_left, False, False]
    value = draw(st.lists(st.floats(-2, 2, width=32), min_size=len(left), max_size=len(left)))
    return Tree(
        left=np.array(left), right=np.array(right), feature=np.array(feature), threshold=np.array(threshold),
        null_left=np.array(null_left), value=np.array(value), categories=categories,
        group=draw(st.integers(0, groups - 1)),
    )  # fmt: skip


def walked(tree: Tree, row: Any, inclusive: bool) -> float:
    """The value of the leaf that a row falls into, node by node and in doubles."""
    node = 0
    while tree.left[node] != -1:
        value = float(row[tree.feature[node]])
        if math.isnan(value):
            to_left = bool(tree.null_left[node])
        elif node in tree.categories:
            to_left = int(value) in tree.categories[node]
        else:
            threshold = tree.threshold[node]
            to_left = value <= threshold if inclusive else value < threshold
        node = int((tree.left if to_left else tree.right)[node])
    return float(tree.value[node])


def scores(ensemble: Ensemble, matrix: Matrix) -> Any:
    """Shape (rows, groups)."""
    found = np.tile(np.array(ensemble.base), (len(matrix), 1))
    for tree in ensemble.trees:
        found[:, tree.group] += [walked(tree, row, ensemble.inclusive) for row in matrix]
    return found


@st.composite
def asked(draw: Any, forest: Ensemble) -> Matrix:
    """Rows at the thresholds, next to them, between them, and null."""
    at = [np.float32(one) for tree in forest.trees for one in tree.threshold] or [np.float32(0)]
    near = [np.nextafter(one, np.float32(sign)) for one in at for sign in (-9e9, 9e9)]
    finite = [float(one) for one in (*at, *near) if np.isfinite(one)] or [0.0]
    numbers = st.one_of(st.sampled_from(finite), st.floats(-4, 4, width=32), st.just(math.nan))
    codes = st.one_of(st.integers(0, CODES - 1).map(float), st.just(math.nan))
    return np.array(draw(st.lists(st.tuples(numbers, codes), min_size=1, max_size=8)), dtype=np.float32)


def ensembles(groups: int, link: str, sharpness: tuple[float, ...] = (1.0,)) -> Any:
    return st.builds(
        Ensemble,
        trees=st.lists(trees(groups), min_size=0, max_size=4).map(tuple),
        base=st.tuples(*[st.floats(-1, 1, width=32)] * groups),
        inclusive=st.booleans(),
        link=st.just(link),
        sharpness=st.sampled_from(sharpness),
    )


@settings(max_examples=150, deadline=None)
@given(data=st.data(), ensemble=ensembles(1, "identity"))
def test_a_regression_is_the_sum_of_its_leaves(data: st.DataObject, ensemble: Ensemble) -> None:
    matrix = data.draw(asked(ensemble))
    for tree in ensemble.trees:
        check_tree(tree, width=2, groups=1)
    answers = OnnxPredictor(tree_graph(ensemble, REGRESSION), REGRESSION).predict(matrix)
    np.testing.assert_allclose(np.asarray(answers.values), scores(ensemble, matrix)[:, 0], rtol=1e-5, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), ensemble=ensembles(3, "softmax"))
def test_three_classes_are_a_softmax_of_three_sums(data: st.DataObject, ensemble: Ensemble) -> None:
    matrix = data.draw(asked(ensemble))
    powers = np.exp(scores(ensemble, matrix))
    answers = OnnxPredictor(tree_graph(ensemble, CLASSES), CLASSES).predict(matrix)
    assert answers.probabilities is not None
    np.testing.assert_allclose(answers.probabilities, powers / powers.sum(axis=1, keepdims=True), atol=1e-6)
    assert answers.values == [CLASSES.classes[place] for place in answers.probabilities.argmax(axis=1)]


@settings(max_examples=50, deadline=None)
@given(data=st.data(), ensemble=ensembles(1, "logistic", (1.0, 2.5)))
def test_two_classes_are_a_logistic_of_one_sum(data: st.DataObject, ensemble: Ensemble) -> None:
    matrix = data.draw(asked(ensemble))
    second = 1 / (1 + np.exp(-ensemble.sharpness * scores(ensemble, matrix)[:, 0]))
    answers = OnnxPredictor(tree_graph(ensemble, LATE), LATE).predict(matrix)
    assert answers.probabilities is not None
    np.testing.assert_allclose(answers.probabilities, np.column_stack([1 - second, second]), atol=1e-6)
    assert answers.values == [bool(one > 0.5) for one in answers.probabilities[:, 1]]


@pytest.mark.parametrize(
    ("link", "expected"), [("exponential", math.exp(1.5)), ("log1p of exponential", math.log1p(math.exp(1.5)))]
)
def test_other_links(link: str, expected: float) -> None:
    ensemble = Ensemble(trees=(), base=(1.5,), inclusive=True, link=link)
    answers = OnnxPredictor(tree_graph(ensemble, REGRESSION), REGRESSION).predict(np.zeros((3, 2), dtype=np.float32))
    assert answers.values == pytest.approx([expected] * 3, rel=1e-6)


def chain(levels: int) -> Tree:
    """A tree that is one long branch: node n leads to leaf and to node n + 1."""
    inner = levels - 1
    left = np.concatenate([np.arange(inner) + levels, np.full(levels, -1)])
    right = np.concatenate([np.arange(1, inner + 1), np.full(levels, -1)])
    nodes = len(left)
    return Tree(
        left=left, right=right, feature=np.zeros(nodes, dtype=np.int64), threshold=np.zeros(nodes),
        null_left=np.zeros(nodes, dtype=np.bool_), value=np.zeros(nodes),
    )  # fmt: skip


def test_a_branch_without_end_is_refused() -> None:
    check_tree(chain(DEEPEST), width=1, groups=1)
    with pytest.raises(Refused, match=r"a tree has more than 10,000 levels"):
        check_tree(chain(DEEPEST + 1), width=1, groups=1)


def test_a_circle_is_refused() -> None:
    tree = chain(4)
    tree.right[2] = 1
    with pytest.raises(Refused, match="two nodes of a tree share a child"):
        check_tree(tree, width=1, groups=1)
    tree.right[0] = 3  # the circle is still there, but no row comes to it
    check_tree(tree, width=1, groups=1)
    tree.right[0] = 0
    with pytest.raises(Refused, match="points outside it"):
        check_tree(tree, width=1, groups=1)
