"""Ensembles of decision trees as plain arrays: what the files of XGBoost and LightGBM hold, checked before use.

Both libraries follow the indices of a file without checking any, so a crafted file makes a prediction read foreign
memory or never end. Whatever is handed to them has passed `check_tree` first.
"""

from typing import Final, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.kernel.errors import Refused

Integers = NDArray[np.int64]

DEEPEST: Final = 10_000
"""Levels of a tree. Some of the libraries' functions call themselves once a level."""

MOST_CATEGORIES: Final = 65_536
"""The libraries keep one bit for each code up to the largest."""


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """One tree of n nodes, each array of length n; node 0 is the root.

    A node is a leaf where `left` is -1. Any other goes left where its feature is below its threshold (at most it, where
    the ensemble says so), or, for a node of `categories`, where the feature is one of these codes; a null goes left
    where `null_left` says so. `value` is what a leaf adds to the score of `group`.
    """

    left: Integers
    right: Integers
    feature: Integers
    threshold: NDArray[np.float64]
    null_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    categories: dict[int, tuple[int, ...]] = {}
    group: int = 0


class Ensemble(msgspec.Struct, frozen=True, kw_only=True):
    """Trees whose leaves add up, from `base` on, to one score a group; `inclusive`: a threshold itself goes left.

    `link` turns scores into answers: see `tree_graph.LINKS`. `sharpness` is a factor of the scores before it.
    """

    trees: tuple[Tree, ...]
    base: tuple[float, ...]
    inclusive: bool
    link: str
    sharpness: float = 1.0


def check_tree(tree: Tree, width: int, groups: int) -> None:
    """Raise `Refused` unless every path from the root ends at a leaf and asks only for columns below `width`."""
    count = len(tree.left)
    inner = tree.left != -1
    if not count:
        refuse("a tree has no nodes")
    children = np.concatenate([tree.left[inner], tree.right[inner]])
    if not np.all((children > 0) & (children < count)):
        refuse("a tree's node points outside it")
    if children.size and np.bincount(children, minlength=count).max() > 1:
        refuse("two nodes of a tree share a child")
    feature = tree.feature[inner]
    if not np.all((feature >= 0) & (feature < width)):
        refuse(f"a tree asks for a column beyond the {width} of the signature")
    if np.isnan(tree.threshold[inner]).any() or not np.isfinite(tree.value[~inner]).all():
        refuse("a tree holds a threshold that is no number, or a value that is not finite")
    if not 0 <= tree.group < groups:
        refuse(f"a tree adds to output {tree.group} of {groups}")
    if _levels(tree) > DEEPEST:
        refuse(f"a tree has more than {DEEPEST:,} levels")


def refuse(why: str) -> NoReturn:
    """Raise `Refused` for a file that no library wrote."""
    raise Refused(f"the model file is damaged or was tampered with: {why}; log the model again")


def _levels(tree: Tree) -> int:
    """Ends, since no node is the child of two and none has the root as its child."""
    levels, level = 0, np.zeros(1, dtype=np.int64)
    while level.size and levels <= DEEPEST:
        inner = level[tree.left[level] != -1]
        level = np.concatenate([tree.left[inner], tree.right[inner]])
        levels += 1
    return levels
