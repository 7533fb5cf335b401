"""A deployment with its model in memory, ready to answer rows."""

import math
from collections.abc import Callable, Sequence
from itertools import repeat
from math import isfinite
from typing import Any, Final

import msgspec
import numpy as np

from tidegate.endpoints.records import Deployment, PredictionOut
from tidegate.endpoints.rules import spelling
from tidegate.kernel.errors import Internal
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

    __slots__ = (
        "_classes",
        "_clock",
        "_encode",
        "_model",
        "_predict",
        "_source",
        "_variant",
        "deployment",
        "platform",
        "service",
        "signature",
        "slow",
    )

    def __init__(self, deployment: Deployment, model: LoadedModel, clock: Callable[[], float]) -> None:
        self.deployment = deployment
        self.signature = model.signature
        self.platform = model.version.runtime
        self.service = model.version.manifest.service
        self._clock = clock
        self._model = deployment.version
        self._variant = deployment.variant
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
        self.slow = self._warm_up(model.version.example) > SLOW_SECONDS

    @property
    def source(self) -> Source:
        """Who answers, as the log names it."""
        return self._source

    def answer(
        self, rows: Sequence[dict[str, Any]], texts: Sequence[bytes] | None, moments: Sequence[int], ids: Sequence[str]
    ) -> Answered:
        """Validate and predict.

        ``texts`` are the rows as JSON, where they came so; ``moments`` microseconds of business time; of each, as of
        ``ids``, one a row. Raises `Invalid` naming the row and the field.
        """
        started = self._clock()
        encoded = self._encode(rows)
        outputs = self._predict(encoded.matrix)
        latency = int((self._clock() - started) * 1e6)
        if len(outputs.values) != len(rows):
            raise Internal(f"{self._model} answered {len(outputs.values)} values to {len(rows)} rows")
        shares_of = outputs.probabilities.tolist() if outputs.probabilities is not None else repeat(None)
        surprises = self._surprises(rows) if encoded.unknown or encoded.missing else repeat((None, None))
        if texts is None:
            texts = [row_json(row) for row in rows]
        model, variant, source, classes = self._model, self._variant, self._source, self._classes
        answers: list[PredictionOut] = []
        log: list[PredictionRow] = []
        for one, moment, text, value, shares, (unknown, missing) in zip(
            ids, moments, texts, outputs.values, shares_of, surprises, strict=False
        ):
            status = "ok"
            if (type(value) is float and not isfinite(value)) or (shares is not None and not isfinite(sum(shares))):
                value, shares, status = None, None, "not_finite"
            named = dict(zip(classes, shares, strict=True)) if shares is not None else None
            answers.append(PredictionOut(one, value, named, model, variant))
            log.append(PredictionRow(one, moment, source, text, value, shares, latency, status, unknown, missing))
        return Answered(answers, log)

    def _surprises(self, rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, int] | None, dict[str, int] | None]]:
        """What each row held of unknown categories and missing features, which were counted together so far."""
        alone = (self._encode([row]) for row in rows)
        return [(one.unknown or None, one.missing or None) for one in alone]

    def _warm_up(self, example: Sequence[dict[str, Any]]) -> float:
        """Seconds that the example takes, at best, once the runtime has prepared itself."""
        if not example:
            return 0.0
        matrix = self._encode(example).matrix
        best = math.inf
        for _ in range(WARM_UPS):
            started = self._clock()
            self._predict(matrix)
            best = min(best, self._clock() - started)
        return best


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(type(value))


row_json = msgspec.json.Encoder(enc_hook=_plain).encode
"""A row as the log keeps it."""
