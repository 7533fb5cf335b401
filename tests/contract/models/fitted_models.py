"""Real models on generated flights: each name stands for one shape of model, task and classes."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from tidegate.kernel.schema import Column
from tidegate.models.signature import Signature, infer_signature

CARRIERS = tuple(f"c{index:02}" for index in range(12))
COLUMNS = (
    Column("distance", "number", False),
    Column("wind", "number", True),
    Column("low_visibility", "boolean", False),
    Column("carrier", "category", False, CARRIERS),
)
ROWS = 1200


class Fitted(NamedTuple):
    """A fitted model, its signature and the matrix that it was fitted on."""

    model: Any
    signature: Signature
    matrix: NDArray[np.float32]


def flights(nulls: bool) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Rows, and the delay in hours of each. The last carrier never flies, and half the delay depends on the carrier."""
    rng = np.random.default_rng(20131001)
    carrier = rng.integers(0, len(CARRIERS) - 1, ROWS)
    wind = rng.gamma(2.0, 5.0, ROWS)
    low = rng.random(ROWS) < 0.1
    matrix = np.column_stack([rng.integers(100, 2500, ROWS), wind, low, carrier]).astype(np.float32)
    delay = 0.1 * wind + 2.0 * low + np.isin(carrier, [1, 4, 8]) * 2.0 + rng.normal(size=ROWS)
    if nulls:
        matrix[rng.random(ROWS) < 0.1, 1] = np.nan
    return matrix, delay


def late(delay: NDArray[np.float64]) -> NDArray[Any]:
    return np.where(delay > 2.0, "late", "on time")


def columns_apart() -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_column_transformer((numbers, [0, 1, 2]), (OneHotEncoder(handle_unknown="ignore"), [3]))


def linear() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def boosted(name: str, **parameters: Any) -> Callable[[], Any]:
    """An estimator such as ``xgboost.XGBClassifier``, whose library is imported when it is made."""
    library, _, kind = name.partition(".")
    quiet = {"verbosity": -1} if library == "lightgbm" else {}
    return lambda: getattr(import_module(library), kind)(n_estimators=20, n_jobs=1, **quiet, **parameters)


def is_late(delay: NDArray[np.float64]) -> NDArray[Any]:
    return (delay > 2.0).astype(int)


def three(delay: NDArray[np.float64]) -> NDArray[Any]:
    return np.digitize(delay, [1.0, 3.0])


def minutes(delay: NDArray[np.float64]) -> NDArray[Any]:
    return delay * 60


def by_carrier(library: str) -> dict[str, Any]:
    """Parameters by which the library splits the carriers as categories."""
    if library == "lightgbm":
        return {"min_data_per_group": 5, "cat_smooth": 1.0}
    return {"enable_categorical": True, "feature_types": ["q", "q", "i", "c"], "max_cat_to_onehot": 2}


def fit(model: Any, matrix: NDArray[np.float32], target: NDArray[Any]) -> Any:
    """Fit a model; LightGBM is told only now which columns are categories."""
    told = {"categorical_feature": [3]} if "min_data_per_group" in model.get_params() else {}
    return model.fit(matrix, target, **told)


Recipe = tuple[Callable[[], Any], Callable[[NDArray[np.float64]], NDArray[Any]], bool]

RECIPES: dict[str, Recipe] = {
    "linear, text": (linear, late, True),
    "linear, booleans": (linear, lambda delay: delay > 2.0, True),
    "linear, floats": (linear, lambda delay: (delay > 2.0).astype(float), True),
    "linear, three classes": (linear, lambda delay: np.digitize(delay, [1.0, 3.0]), True),
    "linear, no nulls": (lambda: make_pipeline(StandardScaler(), LogisticRegression()), late, False),
    "columns apart": (lambda: make_pipeline(columns_apart(), LogisticRegression()), late, True),
    "boosting, text": (lambda: HistGradientBoostingClassifier(max_iter=20), late, True),
    "boosting, three": (lambda: HistGradientBoostingClassifier(max_iter=10), lambda d: np.digitize(d, [1, 3]), True),
    "boosting, categories": (lambda: HistGradientBoostingClassifier(max_iter=20, categorical_features=[3]), late, True),
    "forest": (lambda: make_pipeline(SimpleImputer(), RandomForestClassifier(10, n_jobs=2)), late, True),
    "regression": (lambda: make_pipeline(SimpleImputer(), Ridge()), lambda delay: delay * 60, True),
    "regression, boosting": (lambda: HistGradientBoostingRegressor(max_iter=20), lambda delay: delay * 60, True),
    "regression, old boosting": (lambda: GradientBoostingRegressor(n_estimators=10), lambda delay: delay, False),
    "no probabilities": (lambda: make_pipeline(SimpleImputer(), StandardScaler(), LinearSVC()), late, True),
    "tuned threshold": (lambda: FixedThresholdClassifier(linear(), threshold=0.2, pos_label="late"), late, True),
    "searched": (lambda: GridSearchCV(linear(), {"logisticregression__C": [0.1, 1.0]}, cv=2), late, True),
}

BOOSTED: dict[str, Recipe] = {
    "xgboost": (boosted("xgboost.XGBClassifier"), is_late, True),
    "xgboost, categories": (boosted("xgboost.XGBClassifier", **by_carrier("xgboost")), is_late, True),
    "xgboost, three": (boosted("xgboost.XGBClassifier", **by_carrier("xgboost")), three, True),
    "xgboost, regression": (boosted("xgboost.XGBRegressor"), minutes, True),
    "xgboost, counts": (boosted("xgboost.XGBRegressor", objective="count:poisson"), np.abs, True),
    "xgboost, drop-out": (boosted("xgboost.XGBRegressor", booster="dart", rate_drop=0.3), minutes, True),
    "xgboost, forest": (boosted("xgboost.XGBRFClassifier", gamma=1.0), is_late, True),
    "xgboost, linear": (boosted("xgboost.XGBRegressor", booster="gblinear"), minutes, True),
    "lightgbm, text": (boosted("lightgbm.LGBMClassifier"), late, True),
    "lightgbm, categories": (boosted("lightgbm.LGBMClassifier", **by_carrier("lightgbm")), late, True),
    "lightgbm, three": (boosted("lightgbm.LGBMClassifier", **by_carrier("lightgbm")), three, True),
    "lightgbm, regression": (boosted("lightgbm.LGBMRegressor"), minutes, True),
    "lightgbm, counts": (boosted("lightgbm.LGBMRegressor", objective="poisson"), np.abs, True),
    "lightgbm, no nulls": (boosted("lightgbm.LGBMRegressor", use_missing=False), minutes, True),
    "lightgbm, forest": (
        boosted("lightgbm.LGBMClassifier", boosting_type="rf", bagging_freq=1, bagging_fraction=0.5), is_late, True
    ),
    "lightgbm, zeros": (boosted("lightgbm.LGBMRegressor", zero_as_missing=True), minutes, True),
    "lightgbm, roots": (boosted("lightgbm.LGBMRegressor", reg_sqrt=True), minutes, True),
}  # fmt: skip
"""Of XGBoost and LightGBM."""

RECIPES |= BOOSTED


@cache
def fitted(name: str) -> Fitted:
    """The model of that name."""
    recipe, target, nulls = RECIPES[name]
    matrix, delay = flights(nulls)
    model = fit(recipe(), matrix, target(delay))
    return Fitted(model, infer_signature(matrix, model, COLUMNS), matrix)
