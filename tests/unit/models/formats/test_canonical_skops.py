"""Two dumps of one model are the same bytes, and load to the same answers."""

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tidegate.models.formats.canonical import canonical
from tidegate.models.formats.sklearn import TRUSTED

NOISE = np.random.default_rng(3)
X = NOISE.normal(size=(200, 4)).astype(np.float32)
Y = X[:, 0] > 0

MODELS = [
    make_pipeline(StandardScaler(), LogisticRegression()),
    HistGradientBoostingClassifier(max_iter=5),
    RandomForestClassifier(n_estimators=3, random_state=0),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_same_model_gives_the_same_bytes(model: LogisticRegression) -> None:
    model.fit(X, Y)
    first = skops.io.dumps(model)
    again = skops.io.dumps(skops.io.loads(first, trusted=sorted(TRUSTED)))
    assert canonical(first) == canonical(skops.io.dumps(model))
    assert canonical(canonical(first)) == canonical(first)
    loaded = skops.io.loads(canonical(again), trusted=sorted(TRUSTED))
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))
