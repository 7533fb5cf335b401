"""Looks into fitted scikit-learn models: every object that one is made of."""

from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

_PLAIN = (str, bytes, int, float, bool, complex, type(None), np.generic, type, FunctionType, ModuleType)


def parts(model: object) -> Iterator[Any]:
    """The model and every object inside it, once each: estimators, trees, arrays, containers."""
    seen: set[int] = set()
    stack: list[object] = [model]
    while stack:
        part = stack.pop()
        if isinstance(part, _PLAIN) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, Mapping):
            stack.extend(part.values())
        elif isinstance(part, list | tuple | set | frozenset):
            stack.extend(part)
        elif isinstance(part, np.ndarray) and part.dtype == object:
            stack.extend(part.ravel().tolist())
        if hasattr(part, "__dict__"):
            stack.extend(vars(part).values())


def text_encoders(model: object) -> list[str]:
    """Names of the encoders in it that were fitted on text, and so would not know the codes of a matrix."""
    found = set()
    for part in parts(model):
        categories = getattr(part, "categories_", None)
        if isinstance(categories, list) and any(np.asarray(known).dtype.kind in "OUS" for known in categories):
            found.add(type(part).__name__)
    return sorted(found)


def prepare_for_serving(model: object) -> None:
    """One thread a call, and no memory of column names, which a matrix does not carry."""
    for part in parts(model):
        if not hasattr(part, "get_params"):
            continue
        if getattr(part, "n_jobs", None) not in {None, 1}:
            part.n_jobs = 1
        vars(part).pop("feature_names_in_", None)
