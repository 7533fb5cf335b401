"""Files made to do harm: types that are not trusted, trees that point outside themselves, things that are no model."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.contract.models.fitted_models import COLUMNS, flights
from tidegate.kernel.errors import Invalid, Refused
from tidegate.models.formats.sklearn import FORMAT, TRUSTED
from tidegate.models.signature import Signature

SIGNATURE = Signature(columns=COLUMNS, task="regression")


def load(content: bytes) -> None:
    FORMAT.load({"model.skops": content}, SIGNATURE)


def arrays_changed(content: bytes, change: Callable[[Any], Any]) -> bytes:
    """The file with its arrays of tree nodes passed through `change`."""
    changed, changes = io.BytesIO(), 0
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(".npy") and (array := np.load(io.BytesIO(data))).dtype.names:
                buffer = io.BytesIO()
                np.save(buffer, change(array.copy()))
                data, changes = buffer.getvalue(), changes + 1
            new.writestr(name, data)
    assert changes
    return changed.getvalue()


def test_a_function_that_is_not_trusted_is_refused_by_name() -> None:
    content = skops.io.dumps(make_pipeline(FunctionTransformer(os.system), Ridge()))
    with pytest.raises(Refused, match=r"types that are not trusted: (posix|nt)\.system") as caught:
        load(content)
    assert caught.value.details["types"] == [f"{os.name}.system"]


def test_a_type_renamed_in_the_file_is_refused() -> None:
    matrix, delay = flights(nulls=False)
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(Ridge().fit(matrix, delay)))) as old:
        with zipfile.ZipFile(changed, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                if name == "schema.json":
                    schema = {**json.loads(data), "__class__": "Popen", "__module__": "subprocess"}
                    data = json.dumps(schema).encode()
                new.writestr(name, data)
    with pytest.raises(Refused, match=r"subprocess\.Popen"):
        load(changed.getvalue())


def test_only_scikit_learn_numpy_and_scipy_are_trusted() -> None:
    roots = {name.split(".")[0] for name in TRUSTED - {"functools.partial"}}
    assert roots == {"sklearn", "numpy", "scipy"}


@pytest.mark.parametrize("content", [[1, 2], {"predict": 1}, FunctionTransformer(), "model"], ids=str)
def test_a_file_without_a_predictor_is_invalid(content: object) -> None:
    with pytest.raises(Invalid, match="predicts nothing"):
        load(skops.io.dumps(content))


def outside(field: str, value: int) -> Callable[[Any], Any]:
    def change(nodes: Any) -> Any:
        nodes[field][0] = value
        return nodes

    return change


TREES: dict[str, tuple[Callable[[], Any], tuple[str, str, str]]] = {
    "forest": (lambda: RandomForestRegressor(2, max_depth=3), ("left_child", "right_child", "feature")),
    "boosting": (lambda: GradientBoostingRegressor(n_estimators=2), ("left_child", "right_child", "feature")),
    "histogram": (lambda: HistGradientBoostingRegressor(max_iter=2), ("left", "right", "feature_idx")),
}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_that_points_outside_itself_is_refused(name: str) -> None:
    recipe, (left, right, feature) = TREES[name]
    matrix, delay = flights(nulls=False)
    content = skops.io.dumps(recipe().fit(matrix, delay))
    load(arrays_changed(content, lambda nodes: nodes))
    for field, value in ((left, 2**30), (right, 2**30), (feature, 4), (feature, 2**30), (left, 0), (right, 0)):
        with pytest.raises(Refused, match="damaged or was tampered with: a tree's node points outside it"):
            load(arrays_changed(content, outside(field, value)))


def test_a_tree_that_splits_a_number_by_category_is_refused() -> None:
    matrix, delay = flights(nulls=False)
    numbers = HistGradientBoostingRegressor(max_iter=2).fit(matrix, delay)
    with pytest.raises(Refused, match="a tree's node points outside its categories"):
        load(arrays_changed(skops.io.dumps(numbers), outside("is_categorical", 1)))
    content = skops.io.dumps(HistGradientBoostingRegressor(max_iter=2, categorical_features=[3]).fit(matrix, delay))
    with pytest.raises(Refused, match="a tree's node points outside its categories"):
        load(arrays_changed(content, outside("bitset_idx", 2**20)))
    with pytest.raises(Refused, match="a tree splits a number by category"):
        load(arrays_changed(content, outside("feature_idx", 3)))


def test_a_tree_of_another_width_is_refused() -> None:
    matrix, delay = flights(nulls=False)
    forest = RandomForestRegressor(2, max_depth=3).fit(matrix, delay)
    forest.n_features_in_ = 2
    with pytest.raises(Refused, match="a tree and its forest differ in width"):
        load(skops.io.dumps(forest))
    single = RandomForestRegressor(2, max_depth=3).fit(matrix, delay).estimators_[0]
    single.n_features_in_ = 2
    with pytest.raises(Refused, match="counts do not fit"):
        load(skops.io.dumps(single))
    del single.n_features_in_
    with pytest.raises(Refused, match="does not say how many columns"):
        load(skops.io.dumps(single))
