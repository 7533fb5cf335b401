"""Real models on generated flights: each name stands for one shape of model, task and classes."""

from collections.abc import Callable
from functools import cache
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


@cache
def fitted(name: str) -> Fitted:
    """The model of that name."""
    recipe, target, nulls = RECIPES[name]
    matrix, delay = flights(nulls)
    model = recipe().fit(matrix, target(delay))
    return Fitted(model, infer_signature(matrix, model, COLUMNS), matrix)
