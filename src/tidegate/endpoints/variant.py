"""A deployment with its model in memory, ready to answer rows."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from tidegate.endpoints.records import Deployment, PredictionOut
from tidegate.endpoints.rules import spelling
from tidegate.models.loading import LoadedModel
from tidegate.predictions.records import PredictionRow, Source

SLOW_SECONDS: Final = 0.001
"""A model whose example takes longer is kept off the event loop."""

WARM_UPS: Final = 5


class Answered(msgspec.Struct, frozen=True, gc=False):
    """Rows as they were answered, and as they are to be logged."""

    predictions: list[PredictionOut]
    rows: list[PredictionRow]


class LiveVariant:
    """Answers rows with one deployment's model: every answer and every logged row names that deployment."""

    __slots__ = ("_classes", "_encode", "_predict", "_source", "deployment", "platform", "signature", "slow")

    def __init__(self, deployment: Deployment, model: LoadedModel, clock: Callable[[], float]) -> None:
        self.deployment = deployment
        self.signature = model.signature
        self.platform = model.version.runtime
        self._encode = model.encoder.encode
        self._predict = model.predictor.predict
        self._classes = tuple(spelling(label) for label in model.signature.classes)
        self._source = Source(
            deployment.endpoint,
            deployment.id,
            deployment.model,
            deployment.number,
            deployment.variant,
            model.signature.classes,
        )
        self.slow = self._warm_up(model.version.example, clock) > SLOW_SECONDS

    def answer(
        self,
        rows: Sequence[dict[str, Any]],
        moments: Sequence[int],
        new_id: Callable[[], str],
        clock: Callable[[], float],
    ) -> Answered:
        """Validate, predict, and give each row its id. ``moments`` are microseconds of business time, one a row.

        Raises `Invalid` naming the row and the field.
        """
        started = clock()
        encoded = self._encode(rows)
        outputs = self._predict(encoded.matrix)
        latency = int((clock() - started) * 1e6)
        model, variant, source = self.deployment.version, self.deployment.variant, self._source
        values = outputs.values
        tables = outputs.probabilities.tolist() if outputs.probabilities is not None else None
        answers: list[PredictionOut] = []
        log: list[PredictionRow] = []
        surprises = self._surprises(rows) if encoded.unknown or encoded.missing else None
        for index, row in enumerate(rows):
            value: Any = values[index]
            status = "ok"
            shares = tables[index] if tables is not None else None
            if (type(value) is float and not math.isfinite(value)) or (shares and not math.isfinite(sum(shares))):
                value, shares, status = None, None, "not_finite"
            unknown, missing = surprises[index] if surprises is not None else (None, None)
            prediction_id = new_id()
            named = dict(zip(self._classes, shares, strict=True)) if shares is not None else None
            answers.append(PredictionOut(prediction_id, value, named, model, variant))
            log.append(
                PredictionRow(
                    prediction_id, moments[index], source, _JSON(row), value, shares, latency, status, unknown, missing
                )
            )
        return Answered(answers, log)

    def _surprises(self, rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, int] | None, dict[str, int] | None]]:
        """What each row held of unknown categories and missing features, which were counted together so far."""
        alone = (self._encode([row]) for row in rows)
        return [(one.unknown or None, one.missing or None) for one in alone]

    def _warm_up(self, example: Sequence[dict[str, Any]], clock: Callable[[], float]) -> float:
        """Seconds that the example takes, at best, once the runtime has prepared itself."""
        if not example:
            return 0.0
        matrix = self._encode(example).matrix
        best = math.inf
        for _ in range(WARM_UPS):
            started = clock()
            self._predict(matrix)
            best = min(best, clock() - started)
        return best


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(type(value))


_JSON = msgspec.json.Encoder(enc_hook=_plain).encode
