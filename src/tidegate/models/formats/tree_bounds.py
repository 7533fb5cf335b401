"""Refuses loaded trees that point outside themselves: scikit-learn follows their indices without checking any.

A file of trusted types only can still hold an index that makes a prediction read foreign memory or never end.
"""

from typing import Any, Final, NoReturn

import numpy as np

from tidegate.kernel.errors import Refused
from tidegate.models.formats.parts import parts

INDEXED: Final = {"sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"}


def check_trees(model: object) -> None:
    """Raise `Refused` unless every tree in the model is whole and belongs to an estimator of the same width."""
    checked: set[int] = set()
    found: list[Any] = []
    for part in parts(model):
        kind = type(part)
        if f"{kind.__module__}.{kind.__name__}" in INDEXED:
            found.append(part)
        elif hasattr(part, "_predictors"):
            checked.update(_check_boosting(part))
        elif hasattr(part, "tree_"):
            _check_tree(part.tree_, _width(part))
            checked.add(id(part.tree_))
        if kind.__module__ in {"sklearn.ensemble._forest", "sklearn.ensemble._gb"}:
            _check_ensemble(part)
    if any(id(tree) not in checked for tree in found):
        _refuse("a tree belongs to no estimator")


def _check_ensemble(ensemble: Any) -> None:
    """Forests and gradient boostings hand their matrix to their trees without looking at the width again."""
    for tree in np.asarray(ensemble.estimators_, dtype=object).ravel():
        if hasattr(tree, "tree_") and _width(tree) != _width(ensemble):
            _refuse("a tree and its forest differ in width")


def _check_tree(tree: Any, width: int) -> None:
    count = tree.node_count
    if not 0 < count <= tree.capacity or tree.n_features != width:
        _refuse("a tree's counts do not fit its nodes")
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    leaf = left == -1
    own = np.arange(count)
    inner_ok = (left > own) & (left < count) & (right > own) & (right < count) & (feature >= 0) & (feature < width)
    if not np.all(leaf | inner_ok):
        _refuse("a tree's node points outside it")


def _check_boosting(model: Any) -> set[int]:
    width = _width(model)
    categorical = np.asarray(model._bin_mapper.is_categorical_, dtype=bool)
    if categorical.shape != (width,):
        _refuse("its bins do not fit its width")
    checked: set[int] = set()
    for stage in model._predictors:
        for predictor in stage:
            _check_nodes(predictor, categorical)
            checked.add(id(predictor))
    return checked


def _check_nodes(predictor: Any, categorical: Any) -> None:
    nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
    inner = nodes["is_leaf"] == 0
    own = np.arange(len(nodes))[inner]
    left, right, feature = (nodes[field][inner].astype(np.int64) for field in ("left", "right", "feature_idx"))
    inside = (left > own) & (left < len(nodes)) & (right > own) & (right < len(nodes))
    if not len(nodes) or not np.all(inside & (feature >= 0) & (feature < len(categorical))):
        _refuse("a tree's node points outside it")
    by_category = nodes["is_categorical"][inner] != 0
    if not by_category.any():
        return
    chosen = nodes["bitset_idx"][inner][by_category].astype(np.int64)
    if bitsets.ndim != 2 or bitsets.shape[1] != 8 or not np.all(chosen < len(bitsets)):
        _refuse("a tree's node points outside its categories")
    if not np.all(categorical[feature[by_category]]):
        _refuse("a tree splits a number by category")


def _width(estimator: Any) -> int:
    width = getattr(estimator, "n_features_in_", None)
    if not isinstance(width, int | np.integer):
        _refuse("an estimator does not say how many columns it takes")
    return int(width)


def _refuse(why: str) -> NoReturn:
    raise Refused(f"the model file is damaged or was tampered with: {why}; log the model again")
