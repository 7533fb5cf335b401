"""The leak that stamping a delay at its own departure makes: what it promises, and what it keeps."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.records import Origin
from tidegate.demo.report import Leak
from tidegate.demo.training import PARAMS
from tidegate.kernel.errors import Internal
from tidegate.models.records import ModelVersion
from tidegate.statistics.metrics import auc
from tidegate.workspace import Workspace

if TYPE_CHECKING:
    from tidegate.features.training import TrainingSet


class Stamped:
    """Rows whose features leak, under the name of the service that is served: what a careless notebook hands over."""

    def __init__(self, leaky: "TrainingSet", service: str | None) -> None:
        self.X, self.y, self.columns = leaky.X, leaky.y, leaky.columns
        self.digest = leaky.digest
        self.lineage: tuple[Origin, ...] = tuple(leaky.lineage)
        self.service = service


class Careless:
    """A model that was trained as the first version was, on the leaky rows; it never leaves the notebook."""

    def __init__(self, leaky: "TrainingSet") -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        self._model: Any = HistGradientBoostingClassifier(**PARAMS).fit(leaky.X, leaky.y)

    def beside(self, ws: Workspace, first: ModelVersion, leaky: "TrainingSet", correct: "TrainingSet") -> Leak:
        """What it promises and keeps on flights that neither model has learnt from, joined in both ways."""
        known = ws.models.load(first).predict(correct.X).probabilities
        if known is None:
            raise Internal("the model answers no probabilities")
        truth = correct.y.astype(np.intp)
        same = (leaky.X == correct.X) | (np.isnan(leaky.X) & np.isnan(correct.X))
        return Leak(
            rows=len(truth),
            rows_changed=float((~same).any(axis=1).mean()),
            promised=auc(truth, self._scores(leaky.X)),
            served=auc(truth, self._scores(correct.X)),
            correct=auc(truth, np.asarray(known)[:, 1]),
        )

    def _scores(self, rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self._model.predict_proba(rows))[:, 1]
