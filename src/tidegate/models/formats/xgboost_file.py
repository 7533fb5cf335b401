"""The JSON file of an XGBoost model, read and checked before XGBoost reads it, which checks next to nothing."""

from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np

from tidegate.kernel.errors import Invalid, Refused
from tidegate.models.formats.trees import MOST_CATEGORIES, Ensemble, Tree, check_tree, refuse
from tidegate.models.signature import Signature

LINKS: Final = {
    "binary:logistic": "logistic",
    "multi:softprob": "softmax",
    "reg:logistic": "logistic",
    "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "reg:gamma": "exponential",
    "reg:tweedie": "exponential",
    "count:poisson": "exponential",
    "survival:aft": "exponential",
    "survival:cox": "exponential",
    "rank:map": "identity",
    "rank:ndcg": "identity",
    "rank:pairwise": "identity",
}
"""The objectives that are served, and how each turns scores into answers."""

CLASSIFYING: Final = {"binary:logistic", "multi:softprob"}


class _Part(msgspec.Struct, frozen=True):
    """What is read of the file, and handed on. Whatever else it holds is left out."""


class _TreeParam(_Part, frozen=True):
    num_nodes: str
    num_deleted: str
    num_feature: str
    size_leaf_vector: str = "1"


class _TreeFile(_Part, frozen=True):
    id: int
    tree_param: _TreeParam
    left_children: list[int]
    right_children: list[int]
    parents: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    default_left: list[int]
    base_weights: list[float]
    loss_changes: list[float]
    sum_hessian: list[float]
    split_type: list[int] = []
    categories: list[int] = []
    categories_nodes: list[int] = []
    categories_segments: list[int] = []
    categories_sizes: list[int] = []


class _Count(_Part, frozen=True):
    num_trees: str
    num_parallel_tree: str = "1"


class _TreesFile(_Part, frozen=True):
    gbtree_model_param: _Count
    tree_info: list[int]
    trees: list[_TreeFile]
    iteration_indptr: list[int] | msgspec.UnsetType = msgspec.UNSET
    cats: dict[str, list[Any]] | msgspec.UnsetType = msgspec.UNSET


class _Trees(_Part, frozen=True, tag_field="name", tag="gbtree"):
    model: _TreesFile


class _Dart(_Part, frozen=True, tag_field="name", tag="dart"):
    gbtree: _Trees
    weight_drop: list[float]


class _Weights(_Part, frozen=True):
    weights: list[float]
    boosted_rounds: int = 0


class _Linear(_Part, frozen=True, tag_field="name", tag="gblinear"):
    model: _Weights


class _Parameters(_Part, frozen=True):
    base_score: str
    num_class: str
    num_feature: str
    num_target: str = "1"
    boost_from_average: str = "1"


class _Learner(_Part, frozen=True):
    gradient_booster: _Trees | _Dart | _Linear
    learner_model_param: _Parameters
    objective: dict[str, str | dict[str, str]]
    feature_names: list[str] = []
    feature_types: list[str] = []
    attributes: dict[str, str] = {}


class _File(_Part, frozen=True):
    learner: _Learner
    version: tuple[int, int, int]


class Read(msgspec.Struct, frozen=True):
    """A checked file: the bytes for XGBoost, how many classes it tells apart, and its trees (None: a linear model)."""

    content: bytes
    booster: str
    objective: str
    classes: int
    ensemble: Ensemble | None


def read(content: bytes, signature: Signature) -> Read:
    """Raises `Invalid` for what is no such file, `Refused` for one that does not hold together or cannot be served.

    The content is written anew from what was read, so that XGBoost cannot read it in another way than this did.
    """
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(f"this is no XGBoost model in JSON, or a damaged one: {error}") from error
    learner = file.learner
    again = msgspec.json.encode(file)
    width, groups = _shape(learner, signature)
    booster = learner.gradient_booster
    objective = _objective(learner)
    classes = groups if groups > 1 else 2 if objective in CLASSIFYING else 0
    if isinstance(booster, _Linear):
        _check_length("weights", booster.model.weights, (width + 1) * groups)
        return Read(again, "gblinear", objective, classes, None)
    name, model = ("dart", booster.gbtree.model) if isinstance(booster, _Dart) else ("gbtree", booster.model)
    weights = booster.weight_drop if isinstance(booster, _Dart) else [1.0] * len(model.trees)
    _check_counts(model, weights)
    trees = [
        _tree(one, group, weight, width)
        for one, group, weight in zip(model.trees, model.tree_info, weights, strict=True)
    ]
    for tree in trees:
        check_tree(tree, width, groups)
    base = _base(learner.learner_model_param.base_score, LINKS[objective], groups)
    ensemble = Ensemble(trees=tuple(trees), base=base, inclusive=False, link=LINKS[objective])
    return Read(again, name, objective, classes, ensemble)


def _shape(learner: _Learner, signature: Signature) -> tuple[int, int]:
    """How many columns the model takes and how many scores it makes."""
    parameters, objective = learner.learner_model_param, _objective(learner)
    if objective not in LINKS:
        raise Refused(f"XGBoost's objective {objective!r} is not served; these are: {', '.join(sorted(LINKS))}")
    width, classes, targets = (
        _whole(text, name)
        for text, name in (
            (parameters.num_feature, "num_feature"),
            (parameters.num_class, "num_class"),
            (parameters.num_target, "num_target"),
        )
    )
    if width != len(signature.columns):
        raise Invalid(f"the XGBoost model takes {width} columns and its signature has {len(signature.columns)}")
    if targets > 1:
        raise Refused(f"the XGBoost model answers {targets} values a row; one value a row is served")
    if (signature.task == "classification") is not (objective in CLASSIFYING):
        raise Refused(f"XGBoost's objective {objective!r} does not do {signature.task}, as the signature says")
    for name in ("feature_names", "feature_types"):
        if getattr(learner, name):
            _check_length(name, getattr(learner, name), width)
    softmax = learner.objective.get("softmax_multiclass_param")
    told = softmax.get("num_class", "") if isinstance(softmax, dict) else ""
    if objective == "multi:softprob" and _whole(told, "num_class") != classes:
        refuse("its objective and its trees differ in their classes")
    if objective != "multi:softprob" and classes > 1:
        refuse(f"num_class is {classes:,}, and {objective} has none")
    known = max(classes, 2) if objective in CLASSIFYING else 0
    if known != len(signature.classes):
        raise Invalid(f"the XGBoost model has {known} classes and its signature {len(signature.classes)}")
    return width, classes if objective == "multi:softprob" else 1


def _objective(learner: _Learner) -> str:
    name = learner.objective.get("name")
    if not isinstance(name, str):
        refuse("it has no objective")
    return name


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        refuse(f"{name} is {text[:20]!r}")
    return int(text)


def _check_length(name: str, values: list[Any], length: int) -> None:
    if len(values) != length:
        refuse(f"{name} holds {len(values):,} values and needs {length:,}")


def _check_counts(model: _TreesFile, weights: list[float]) -> None:
    count = len(model.trees)
    if _whole(model.gbtree_model_param.num_trees, "num_trees") != count:
        refuse(f"it announces {model.gbtree_model_param.num_trees} trees and holds {count:,}")
    _check_length("tree_info", model.tree_info, count)
    _check_length("weight_drop", weights, count)
    if not 1 <= _whole(model.gbtree_model_param.num_parallel_tree, "num_parallel_tree") <= max(1, count):
        refuse("it has rounds of no tree, or of more than there are")
    if any(tree.id != place for place, tree in enumerate(model.trees)):
        refuse("its trees are out of order")
    bounds = model.iteration_indptr
    if bounds is not msgspec.UNSET and not (
        bounds and bounds[0] == 0 and bounds[-1] == count and all(a <= b for a, b in pairwise(bounds))
    ):
        refuse("its rounds do not fit its trees")
    if model.cats is not msgspec.UNSET and any(model.cats.values()):
        raise Refused(
            "the XGBoost model was fitted on a frame with categories and codes them itself, but serving hands it one "
            "matrix of codes: fit it on that (encode_frame, or the X of a training set) with feature_types"
        )


def _tree(file: _TreeFile, group: int, weight: float, width: int) -> Tree:
    count = _whole(file.tree_param.num_nodes, "num_nodes")
    if _whole(file.tree_param.size_leaf_vector, "size_leaf_vector") > 1:
        raise Refused("the XGBoost model's leaves hold several values: fit it on one target")
    if _whole(file.tree_param.num_feature, "num_feature") != width:
        refuse("a tree and its model differ in width")
    for name in (
        "left_children", "right_children", "parents", "split_indices", "split_conditions", "default_left",
        "base_weights", "loss_changes", "sum_hessian", "split_type",
    ):  # fmt: skip
        _check_length(name, getattr(file, name), count)
    left, right = _integers(file.left_children), _integers(file.right_children)
    inner = left != -1
    if not np.array_equal(inner, right != -1):
        refuse("a node of a tree has one child")
    if _whole(file.tree_param.num_deleted, "num_deleted") > count:
        refuse("a tree has lost more nodes than it has")
    own, parents = np.flatnonzero(inner), _integers(file.parents)
    children = np.concatenate([left[inner], right[inner]])
    if np.any((children < 0) | (children >= count)) or np.any(parents[children] != np.concatenate([own, own])):
        refuse("a tree's node points outside it, or to a child that does not know it")
    with np.errstate(over="ignore"):  # an infinity is refused by check_tree
        conditions = np.array(file.split_conditions, dtype=np.float32).astype(np.float64)
    default_left = np.array(file.default_left, dtype=np.bool_)
    categories = _categories(file, inner)
    for node in categories:  # XGBoost sends what a node lists to the right
        left[node], right[node], default_left[node] = right[node], left[node], not default_left[node]
    return Tree(
        left=left,
        right=right,
        feature=_integers(file.split_indices),
        threshold=conditions,
        null_left=default_left,
        value=conditions * weight,
        categories=categories,
        group=group,
    )


def _integers(values: list[int]) -> Any:
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        refuse("an index is beyond every tree")


def _categories(file: _TreeFile, inner: Any) -> dict[int, tuple[int, ...]]:
    split = [node for node, kind in enumerate(file.split_type) if kind == 1 and inner[node]]
    starts, sizes = file.categories_segments, file.categories_sizes
    if not {0, 1}.issuperset(file.split_type) or file.categories_nodes != split:
        refuse("a tree's nodes and its categories do not fit")
    _check_length("categories_segments", starts, len(split))
    _check_length("categories_sizes", sizes, len(split))
    if any(not 0 <= code < MOST_CATEGORIES for code in file.categories):
        refuse("a tree's category is out of range")
    at = 0
    for start, size in zip(starts, sizes, strict=True):
        if start != at or size < 0:
            refuse("a tree's categories do not fit their nodes")
        at += size
    _check_length("categories", file.categories, at)
    return {
        node: tuple(sorted(set(file.categories[start : start + size])))
        for node, start, size in zip(split, starts, sizes, strict=True)
    }


def _base(text: str, link: str, groups: int) -> tuple[float, ...]:
    """The scores before any tree: written as an answer, of all outputs or of each."""
    try:
        values = np.array(msgspec.json.decode(text.encode()), dtype=np.float64).ravel()
    except (msgspec.DecodeError, TypeError, ValueError):
        refuse(f"base_score is {text[:40]!r}")
    if values.size not in {1, groups} or not np.isfinite(values).all():
        refuse(f"base_score is {text[:40]!r}")
    with np.errstate(divide="ignore", invalid="ignore"):
        if link == "logistic":
            values = -np.log(1.0 / values - 1.0)
        elif link == "exponential":
            values = np.log(values)
    if not np.isfinite(values).all():
        refuse(f"base_score is {text[:40]!r}, which {link} never answers")
    return tuple(np.broadcast_to(values, (groups,)).tolist())
