"""The text file of a LightGBM model, read and checked before LightGBM reads it, which checks next to nothing."""

import re
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np

from tidegate.kernel.errors import Invalid, Refused
from tidegate.models.formats.trees import Ensemble, Tree, check_tree, refuse
from tidegate.models.signature import Signature

LINKS: Final = {
    "binary": "logistic",
    "multiclass": "softmax",
    "cross_entropy": "logistic",
    "cross_entropy_lambda": "log1p of exponential",
    "custom": "identity",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "poisson": "exponential",
    "gamma": "exponential",
    "tweedie": "exponential",
    "lambdarank": "identity",
    "rank_xendcg": "identity",
}
"""The objectives that are served, and how each turns scores into answers."""

CLASSIFYING: Final = {"binary", "multiclass"}

_NUMBER = re.compile(r"-?inf|-?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,4})?")
_RANGE = re.compile(r"none|[0-9eE.+:\-]{1,2000000}|\[[0-9a-zE.+:\-]{1,200}\]")
_OBJECTIVE = re.compile(r"[a-z_0-9]{1,40}( [a-z_]{1,40}(:\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,3})?)?){0,9}")

_FIRST, _BETWEEN, _END = "tree", "\n\nTree=", "\nend of trees\n"
_HEADER: Final = (
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "average_output",
    "feature_names", "feature_infos",
)  # fmt: skip
_LEFT_OUT: Final = {"tree_sizes", "monotone_constraints"}
_COUNTS: Final = ("num_leaves", "num_cat", "is_linear")
_OF_NODES: Final = (
    "split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child", "internal_value",
    "internal_weight", "internal_count",
)  # fmt: skip
_OF_LEAVES: Final = ("leaf_value", "leaf_weight", "leaf_count")
_OF_CATEGORIES: Final = ("cat_boundaries", "cat_threshold")
_ALL: Final = {*_COUNTS, *_OF_NODES, *_OF_LEAVES, *_OF_CATEGORIES, "shrinkage"}

CATEGORICAL, NULL_LEFT, ZERO_IS_NULL, NAN_IS_NULL = 1, 2, 4, 8
"""The bits of a node's decision type."""


class Read(msgspec.Struct, frozen=True):
    """A checked file: the text for LightGBM, its objective, and its trees."""

    text: str
    objective: str
    ensemble: Ensemble
    doubt: str = ""
    """Why the trees do not say all that LightGBM does; empty where they do."""


def read(content: bytes, signature: Signature) -> Read:
    """Raises `Invalid` for what is no such file, `Refused` for one that does not hold together or cannot be served.

    The text is written anew from what was read, so that LightGBM cannot read it in another way than this did; what
    was set in training, paths among it, is left out.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"this is no LightGBM model in text, or a damaged one: {error}") from error
    body, end, _ = text.partition(_END)
    head, *trees = body.split(_BETWEEN)
    if not end or head.partition("\n")[0] != _FIRST or "\0" in body:
        raise Invalid("this is no LightGBM model in text, or a damaged one: its beginning or end is missing")
    header = _fields(head.partition("\n")[2], {*_HEADER, *_LEFT_OUT})
    objective, groups = _shape(header, signature)
    read_trees, pieces, doubt = [], [], ""
    for number, piece in enumerate(trees):
        announced, _, rest = piece.partition("\n")
        if announced != str(number):
            refuse(f"tree {number} is announced as {announced[:20]!r}")
        if "\nis_linear=1\n" in piece:
            raise Refused("the LightGBM model has linear functions in its leaves: fit it with linear_tree=False")
        fields = _fields(rest, _ALL)
        tree, why = _tree(fields, number % groups)
        check_tree(tree, len(signature.columns), groups)
        read_trees.append(tree)
        pieces.append(_written(fields))
        doubt = doubt or why
    if len(trees) % groups or not trees:
        refuse(f"it holds {len(trees):,} trees for {groups} outputs")
    ensemble = _ensemble(read_trees, header, objective, groups)
    again = "".join(
        [f"{_FIRST}\n", *(f"{name}{'=' if value else ''}{value}\n" for name, value in _kept(header)),
         *(f"\nTree={number}\n{piece}\n" for number, piece in enumerate(pieces)), f"\n{_END[1:]}"]
    )  # fmt: skip
    return Read(again, objective[0], ensemble, doubt or _strange(objective))


def _fields(text: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            continue
        name, _, value = line.partition("=")
        if name not in known or name in found:
            refuse(f"it has the line {line[:40]!r}")
        found[name] = value
    return found


def _kept(header: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, header[name]) for name in _HEADER if name in header]


def _written(fields: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in fields.items())


def _shape(header: dict[str, str], signature: Signature) -> tuple[list[str], int]:
    """The objective as words, and how many scores the model makes."""
    width = _whole(header, "max_feature_idx") + 1
    if width != len(signature.columns):
        raise Invalid(f"the LightGBM model takes {width} columns and its signature has {len(signature.columns)}")
    for name, pattern in (("feature_infos", _RANGE), ("feature_names", None)):
        values = header.get(name, "").split(" ")
        if len(values) != width or (pattern and not all(map(pattern.fullmatch, values))):
            refuse(f"its {name} do not fit its columns")
    if header.get("version") not in {"v3", "v4"} or header.get("label_index") != "0" or header.get("average_output"):
        refuse("its header is none that LightGBM writes")
    text = header.get("objective", "custom")
    objective = text.split(" ")
    if not _OBJECTIVE.fullmatch(text) or objective[0] not in LINKS:
        served = ", ".join(sorted(LINKS))
        raise Refused(f"LightGBM's objective {text[:40]!r} is not served; these are: {served}")
    if (signature.task == "classification") is not (objective[0] in CLASSIFYING):
        raise Refused(f"LightGBM's objective {objective[0]!r} does not do {signature.task}, as the signature says")
    groups = _whole(header, "num_class")
    if groups < 1 or _whole(header, "num_tree_per_iteration") != groups:
        refuse("its classes and its trees do not fit")
    if objective[0] == "multiclass" and objective[1:] != [f"num_class:{groups}"]:
        refuse("its objective and its trees differ in their classes")
    if objective[0] != "multiclass" and groups > 1:
        raise Refused(f"the LightGBM model answers {groups} values a row; one value a row is served")
    known = max(groups, 2) if objective[0] in CLASSIFYING else 0
    if known != len(signature.classes):
        raise Invalid(f"the LightGBM model has {known} classes and its signature {len(signature.classes)}")
    return objective, groups


def _whole(fields: dict[str, str], name: str) -> int:
    text = fields.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        refuse(f"{name} is {text[:20]!r}")
    return int(text)


def _numbers(fields: dict[str, str], name: str, length: int, kind: type) -> Any:
    text = fields.get(name, "")
    values = text.split(" ") if text else []
    if len(values) != length or not all(map(_NUMBER.fullmatch, values)):
        refuse(f"{name} must hold {length:,} numbers")
    try:
        return np.array(list(map(kind, values)), dtype=np.int64 if kind is int else np.float64)
    except (ValueError, OverflowError):
        refuse(f"{name} holds what is no whole number, or one beyond every tree")


def _tree(fields: dict[str, str], group: int) -> tuple[Tree, str]:
    """The tree, its leaves numbered after its inner nodes; and what it cannot say of LightGBM's."""
    if fields.get("is_linear", "0") != "0":
        refuse("a tree does not say whether its leaves are linear")
    leaves, inner = _whole(fields, "num_leaves"), max(_whole(fields, "num_leaves") - 1, 0)
    if leaves < 1:
        refuse("a tree has no leaf")
    _numbers(fields, "shrinkage", 1, float)
    for name in (*_OF_NODES, *_OF_LEAVES):
        if fields.get(name):
            _numbers(fields, name, inner if name in _OF_NODES else leaves, float)
    value = np.zeros(inner + leaves)
    value[inner:] = _numbers(fields, "leaf_value", leaves, float)
    left, right = np.full((2, inner + leaves), -1, dtype=np.int64)
    feature, decision = np.zeros((2, inner + leaves), dtype=np.int64)
    threshold = np.zeros(inner + leaves)
    if inner:
        for children, name in ((left, "left_child"), (right, "right_child")):
            given = _numbers(fields, name, inner, int)
            children[:inner] = np.where(given < 0, inner - 1 - given, given)
            if np.any((given >= inner) | (given < -leaves)):
                refuse("a tree's node points outside it")
        feature[:inner] = _numbers(fields, "split_feature", inner, int)
        decision[:inner] = _numbers(fields, "decision_type", inner, int)
        threshold[:inner] = _numbers(fields, "threshold", inner, float)
        if np.any((decision < 0) | (decision > 15) | (decision & 12 == 12)):
            refuse("a tree's node decides in an unknown way")
    categories = _categories(fields, decision, threshold)
    threshold[list(categories)] = 0.0
    zero_left = threshold >= 0.0
    null_left = np.where(decision & NAN_IS_NULL | decision & ZERO_IS_NULL, decision & NULL_LEFT > 0, zero_left)
    null_left[list(categories)] = False
    astray = (decision & ZERO_IS_NULL > 0) & (null_left != zero_left)
    astray[list(categories)] = False
    tree = Tree(
        left=left, right=right, feature=feature, threshold=threshold, null_left=null_left, value=value,
        categories=categories, group=group,
    )  # fmt: skip
    return tree, "a node sends 0 another way than its threshold does" if astray.any() else ""


def _categories(fields: dict[str, str], decision: Any, threshold: Any) -> dict[int, tuple[int, ...]]:
    split = np.flatnonzero(decision & CATEGORICAL).tolist()
    count = _whole(fields, "num_cat")
    if not count:
        if split:
            refuse("a tree's nodes and its categories do not fit")
        return {}
    bounds = _numbers(fields, "cat_boundaries", count + 1, int).tolist()
    if bounds[0] != 0 or any(a >= b for a, b in pairwise(bounds)) or bounds[-1] > 2**20:
        refuse("a tree's categories do not fit their nodes")
    bits = _numbers(fields, "cat_threshold", bounds[-1], int).tolist()
    if any(not 0 <= word < 2**32 for word in bits):
        refuse("a tree's category is out of range")
    found = {}
    for node in split:
        place = threshold[node]
        if not 0 <= place < count or place != int(place):
            refuse("a tree's nodes and its categories do not fit")
        words = bits[bounds[int(place)] : bounds[int(place) + 1]]
        found[node] = tuple(32 * at + bit for at, word in enumerate(words) for bit in range(32) if word >> bit & 1)
    return found


def _ensemble(trees: list[Tree], header: dict[str, str], objective: list[str], groups: int) -> Ensemble:
    share = groups / len(trees) if "average_output" in header else 1.0
    sharpness = [float(word[8:]) for word in objective if word.startswith("sigmoid:")]
    return Ensemble(
        trees=tuple(msgspec.structs.replace(tree, value=tree.value * share) for tree in trees),
        base=(0.0,) * groups,
        inclusive=True,
        link=LINKS[objective[0]],
        sharpness=sharpness[0] if sharpness else 1.0,
    )


def _strange(objective: list[str]) -> str:
    return "the root of the target was fitted (reg_sqrt)" if "sqrt" in objective[1:] else ""
