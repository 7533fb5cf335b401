"""A deployment with its model in memory, ready to answer rows."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from math import isfinite
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from tidegate.endpoints.records import Deployment, PredictionOut
from tidegate.endpoints.rules import spelling
from tidegate.kernel.errors import Internal
from tidegate.models.loading import LoadedModel
from tidegate.models.signature import EncodedRows, Label, Signature
from tidegate.predictions.records import PredictionRow, Shadow, Source

SLOW_SECONDS: Final = 0.001
"""A model whose example takes longer is kept off the event loop."""

WARM_UPS: Final = 5


class Answered(msgspec.Struct, frozen=True, gc=False):
    """Rows as they were answered, and as they are to be logged."""

    predictions: list[PredictionOut]
    rows: list[PredictionRow]
    surprising: bool
    """Whether a row may hold what is unknown or missing: as a rule none does, and none need be looked at."""


Takes = tuple[str | None, Signature]
"""What a variant takes: the features of a service, or rows as they come, in the columns of a signature."""


Surprises = tuple[dict[str, int] | None, dict[str, int] | None]
"""What a row held of unknown categories and of missing features."""

_NO_SURPRISES: Final = repeat((None, None))


class Encoding(msgspec.Struct, frozen=True, gc=False):
    """Rows as a matrix: the same for all variants that take the same."""

    encoded: EncodedRows
    surprises: Iterable[Surprises]
    """Of each row."""
    seconds: float
    """What it took to encode them."""


class _Outputs(NamedTuple):
    """What a model answered to rows, one of each a row."""

    values: Sequence[Label]
    shares: Sequence[list[float]] | None
    """Probabilities by class."""
    latency: int
    finite: bool
    """Whether all of it surely is."""


class Said(msgspec.Struct, frozen=True, gc=False):
    """What a variant says of one row."""

    value: Label | None
    probabilities: list[float] | None
    status: str
    latency: int
    surprises: Surprises


class LiveVariant:
    """Answers rows with one deployment's model: every answer and every logged row names that deployment."""

    __slots__ = (
        "_classes",
        "_clock",
        "_encode",
        "_encode_json",
        "_finite",
        "_model",
        "_predict",
        "_source",
        "_variant",
        "deployment",
        "platform",
        "service",
        "signature",
        "slow",
        "takes",
    )

    def __init__(self, deployment: Deployment, model: LoadedModel, clock: Callable[[], float]) -> None:
        self.deployment = deployment
        self.signature = model.signature
        self.platform = model.version.runtime
        self.service = model.version.manifest.service
        self.takes: Takes = self.service, self.signature
        self._clock = clock
        self._model = deployment.version
        self._variant = deployment.variant
        self._encode = model.encoder.encode
        self._encode_json = model.encoder.encode_json
        self._predict = model.predictor.predict
        self._classes = tuple(spelling(label) for label in model.signature.classes)
        self._finite = bool(self._classes) and all(
            type(one) is not float or isfinite(one) for one in self.signature.classes
        )
        """Whether no value that it answers is infinite, since none of its classes is."""
        self._source = Source(
            deployment.endpoint,
            deployment.id,
            deployment.model,
            deployment.number,
            deployment.variant,
            model.signature.classes,
        )
        self.slow = model.apart or self._warm_up(model.version.example) > SLOW_SECONDS

    @property
    def source(self) -> Source:
        """Who answers, as the log names it."""
        return self._source

    def answer(
        self, encoding: Encoding, texts: Sequence[bytes], moments: Sequence[int], ids: Sequence[str]
    ) -> Answered:
        """Predict.

        ``texts`` are the rows as JSON; ``moments`` microseconds of business time; of each, as of ``ids``, one a row.
        """
        outputs = self._outputs(encoding)
        if outputs.finite and encoding.surprises is _NO_SURPRISES:
            return self._tell_all(ids, moments, texts, outputs)
        answered = Answered([], [], surprising=encoding.surprises is not _NO_SURPRISES)
        for out, row in map(self.tell, ids, moments, texts, _said(outputs, encoding)):
            answered.predictions.append(out)
            answered.rows.append(row)
        return answered

    def encode(self, rows: Sequence[dict[str, Any]]) -> Encoding:
        """The rows for `say`. Raises `Invalid` naming the row and the field."""
        started = self._clock()
        encoded = self._encode(rows)
        seconds = self._clock() - started
        surprises: Iterable[Surprises] = _NO_SURPRISES
        if encoded.unknown or encoded.missing:  # which were counted together so far
            alone = [self._encode([row]) for row in rows]
            surprises = [(one.unknown or None, one.missing or None) for one in alone]
        return Encoding(encoded, surprises, seconds)

    def encode_json(self, text: bytes) -> Encoding | None:
        """As `encode` of a JSON array of rows; None where one of them is to be looked at more closely."""
        started = self._clock()
        encoded = self._encode_json(text)
        return None if encoded is None else Encoding(encoded, _NO_SURPRISES, self._clock() - started)

    def say(self, encoding: Encoding) -> list[Said]:
        """What the model says of each row, by an encoding of a variant that takes the same."""
        return _said(self._outputs(encoding), encoding)

    def _outputs(self, encoding: Encoding) -> _Outputs:
        matrix = encoding.encoded.matrix
        started = self._clock()
        outputs = self._predict(matrix)
        latency = int((self._clock() - started + encoding.seconds) * 1e6)
        if len(outputs.values) != len(matrix):
            raise Internal(f"{self._model} answered {len(outputs.values)} values to {len(matrix)} rows")
        finite = self._finite or isfinite(sum(outputs.values))  # type: ignore[arg-type]  # numbers: of no class
        if outputs.probabilities is None:
            return _Outputs(outputs.values, None, latency, finite)
        shape, width = outputs.probabilities.shape, len(self._classes)
        if shape != (len(matrix), width):
            raise Internal(f"{self._model} answered probabilities of shape {shape} for {width} classes")
        flat = outputs.probabilities.ravel().tolist()  # many times as fast as numpy makes lists of lists
        shares = [flat[start : start + width] for start in range(0, len(flat), width)]
        return _Outputs(outputs.values, shares, latency, finite and isfinite(sum(flat)))

    def _tell_all(
        self, ids: Sequence[str], moments: Sequence[int], texts: Sequence[bytes], outputs: _Outputs
    ) -> Answered:
        """What `tell` says of each row, where nothing is special about any of them: without a call for each."""
        values, shares, classes = outputs.values, outputs.shares, self._classes
        named: Iterable[dict[str, float] | None] = repeat(None)
        if shares is not None:
            named = [dict(zip(classes, one, strict=True)) for one in shares]
        given = shares if shares is not None else repeat(None)
        source, latency = repeat(self._source), repeat(outputs.latency)
        return Answered(
            list(map(PredictionOut, ids, values, named, repeat(self._model), repeat(self._variant))),
            list(map(PredictionRow, ids, moments, source, texts, values, given, latency)),
            surprising=False,
        )

    def tell(
        self,
        prediction_id: str,
        moment: int,
        text: bytes,
        said: Said,
        *,
        status: str | None = None,
        weight: float | None = None,
        shadows: list[Shadow] | None = None,
    ) -> tuple[PredictionOut, PredictionRow]:
        """What is said of a row, as it is answered and as it is logged."""
        value, shares, (unknown, missing) = said.value, said.probabilities, said.surprises
        named = dict(zip(self._classes, shares, strict=True)) if shares is not None else None
        out = PredictionOut(prediction_id, value, named, self._model, self._variant)
        row = PredictionRow(
            prediction_id,
            moment,
            self._source,
            text,
            value,
            shares,
            said.latency,
            status or said.status,
            unknown,
            missing,
            weight,
            shadows,
        )
        return out, row

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


def _said(outputs: _Outputs, encoding: Encoding) -> list[Said]:
    shares = outputs.shares if outputs.shares is not None else repeat(None)
    said = list(map(Said, outputs.values, shares, repeat("ok"), repeat(outputs.latency), encoding.surprises))
    return said if outputs.finite else list(map(_finite, said))


def _finite(said: Said) -> Said:
    """As it is said, or nothing in place of what is not finite."""
    value, shares = said.value, said.probabilities
    if (type(value) is float and not isfinite(value)) or (shares is not None and not isfinite(sum(shares))):
        return msgspec.structs.replace(said, value=None, probabilities=None, status="not_finite")
    return said


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(type(value))


row_json = msgspec.json.Encoder(enc_hook=_plain).encode
"""A row as the log keeps it."""
