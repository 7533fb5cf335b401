"""Answers rows and takes labels: the one engine behind the hot path, the operations, and foreign protocols."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from tidegate.endpoints.meter import ServingMeter, Surprise
from tidegate.endpoints.records import (
    Deployment,
    LabelsAnswer,
    LabelsRequest,
    OutcomeIn,
    PredictAnswer,
    PredictionOut,
    PredictRequest,
)
from tidegate.endpoints.routing import Route, RoutingTable, Wishes
from tidegate.endpoints.rules import check_count, check_outcomes, moments_of
from tidegate.endpoints.splitting import Asked, answer_split
from tidegate.endpoints.variant import Answered, Encoding, LiveVariant, row_json
from tidegate.kernel import wire
from tidegate.kernel.clock import BusinessClock, MachineClock, to_micros
from tidegate.kernel.errors import Invalid
from tidegate.kernel.features import FeatureLookup
from tidegate.kernel.json_text import check_keys
from tidegate.models.loading import LoadedModel
from tidegate.predictions.log import PredictionLog
from tidegate.predictions.records import LabelRow, PredictionRow

LARGE_BODY: Final = 32 << 10
"""Bytes of a request beyond which it is answered off the event loop, however quick the model is."""

_ENCODE: Final = msgspec.json.Encoder().encode
_ROWS: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_ROW: Final = msgspec.json.Decoder(dict[str, Any]).decode


class ModelLoader(Protocol):
    """Gets model versions into memory."""

    def load(self, reference: str) -> LoadedModel:
        """The model of a reference such as `late-arrival/3`."""
        ...


class ServingEngine:
    """Predicts with what the catalog wants to be served. Thread-safe.

    Laws:

    1. **Logged.** A prediction is in the log before its answer is given; a request that is refused leaves no row.
    2. **True.** The model that an answer names is the one that its logged row names, and the one that answered, also
       while a canary's share is being changed.
    3. **Typed.** What is wrong with a request raises `Invalid` naming the field; nothing else is raised on purpose
       but `NotFound` (no such endpoint) and `Unavailable` (its model cannot be loaded, or the disk is full).
    4. **Finite.** No answer holds NaN or an infinity: such a value is null, and its row is logged as `not_finite`.
    5. **Unharmed.** What a canary or a shadow raises never reaches who asked: see `splitting`.

    ``features`` completes the rows of versions that name a feature service.
    """

    def __init__(
        self,
        *,
        wishes: Wishes,
        models: ModelLoader,
        log: PredictionLog,
        clock: BusinessClock,
        machine: MachineClock,
        features: FeatureLookup | None = None,
    ) -> None:
        self._features = features
        self._models = models
        self._log = log
        self._clock = clock
        self._machine = machine
        self._meter: ServingMeter | None = None
        self.routing = RoutingTable(wishes, self._load, machine)

    def start(self) -> None:
        """Load what is to be served, and watch the catalog: for serving processes (an embedded home asks each time)."""
        self.routing.refresh()
        self.routing.start()

    def measure(self, meter: ServingMeter) -> None:
        """Tell this meter of what is unknown or missing in the rows that are answered from now on."""
        self._meter = meter

    def close(self) -> None:
        """Stop watching."""
        self.routing.close()

    def predict(
        self, name: str, rows: Sequence[dict[str, Any]], at: Sequence[datetime] | None = None
    ) -> list[PredictionOut]:
        """Answer rows, logged. ``at`` is the business time of each, now by default."""
        return self.answer(self.routing.find(name), rows, at)

    def answer(
        self,
        route: Route,
        rows: Sequence[dict[str, Any]],
        at: Sequence[datetime] | None = None,
        texts: Sequence[bytes] | None = None,
    ) -> list[PredictionOut]:
        """`predict` by a route that was found before. ``texts`` are the rows as JSON, where they came so."""
        moments, ids = self._begin(len(rows), at)
        if route.plain:
            spelt = [row_json(row) for row in rows] if texts is None else texts
            answered = route.stable.answer(route.stable.encode(rows), spelt, moments, ids)
        else:
            answered = answer_split(route, self._features, Asked(rows, texts, moments, ids))
        return self._keep(route, answered)

    def _begin(self, count: int, at: Sequence[datetime] | None) -> tuple[Sequence[int], Sequence[str]]:
        """Of each row its instant in microseconds, and its id."""
        now = self._clock.now()
        check_count(count, "rows")
        micros = to_micros(now)
        moments = [micros] * count if at is None else moments_of(at, count, now)
        return moments, self._log.ids.batch(count, micros)

    def _keep(self, route: Route, answered: Answered) -> list[PredictionOut]:
        self._log.append(answered.rows)
        if answered.surprising and self._meter is not None:
            _count_surprises(self._meter, route.endpoint.name, answered.rows)
        return answered.predictions

    def predict_bytes(self, name: str, body: bytes) -> bytes:
        """The JSON answer to a `PredictRequest` in JSON."""
        asked: PredictRequest = wire.decode(body, PredictRequest)
        texts = [bytes(raw) for raw in asked.rows]
        route = self.routing.find(name)
        if route.plain and asked.at is None and (encoding := _plainly(route.stable, body, texts)) is not None:
            moments, ids = self._begin(len(texts), None)
            answered = route.stable.answer(encoding, texts, moments, ids)
            return _ENCODE(PredictAnswer(self._keep(route, answered)))
        rows, instants = rows_of(texts), asked.at or ()
        keys = 1 + (asked.at is not None) + sum(map(len, rows))
        values = (value for row in rows for value in row.values())
        check_keys(body, keys + 2 * len(instants), lambda: 2 * (keys + len(instants) + _strings(values)))
        return _ENCODE(PredictAnswer(self.answer(route, rows, asked.at, texts)))

    def label(self, name: str, labels: Sequence[OutcomeIn]) -> LabelsAnswer:
        """Take labels for an endpoint's predictions: all of them, or none."""
        route = self.routing.find(name)
        now = self._clock.now()
        check_count(len(labels), "labels")
        received = to_micros(now)
        values = check_outcomes(labels, route.classes, now)
        rows = [
            LabelRow(
                one.prediction_id, name, value, to_micros(one.observed_at, f"labels[{index}].observed_at"), received
            )
            for index, (one, value) in enumerate(zip(labels, values, strict=True))
        ]
        self._log.append_labels(rows)
        return LabelsAnswer(len(rows))

    def label_bytes(self, name: str, body: bytes) -> bytes:
        """The JSON answer to a `LabelsRequest` in JSON."""
        asked: LabelsRequest = wire.decode(body, LabelsRequest)
        told, keys = len(asked.labels), 1 + 3 * len(asked.labels)
        values = (one.value for one in asked.labels)
        check_keys(body, keys + 2 * told, lambda: 2 * (keys + 2 * told + _strings(values)))
        return _ENCODE(self.label(name, asked.labels))

    def predicts_quickly(self, name: str, size: int) -> bool:
        """Whether a request of this many bytes may be answered on an event loop without holding it up."""
        return size <= LARGE_BODY and self.routing.at_hand(name) is not None

    def labels_quickly(self, name: str, size: int) -> bool:
        """Whether labels of this many bytes may be taken on an event loop: no model is asked, however slow it is."""
        return size <= LARGE_BODY and self.routing.settled(name)

    def _load(self, deployment: Deployment) -> LiveVariant:
        return LiveVariant(deployment, self._models.load(deployment.version), self._machine.monotonic)


def _count_surprises(meter: ServingMeter, endpoint: str, rows: Iterable[PredictionRow]) -> None:
    found = Counter[tuple[Surprise, str]]()
    for row in rows:
        if row.unknown:
            found.update({("unknown", feature): values for feature, values in row.unknown.items()})
        if row.missing:
            found.update({("missing", feature): values for feature, values in row.missing.items()})
    for (kind, feature), values in found.items():
        meter.surprise(endpoint, kind, feature, values)


def _strings(values: Iterable[object]) -> int:
    return sum(each.__class__ is str for each in values)


def _plainly(stable: LiveVariant, body: bytes, texts: Sequence[bytes]) -> Encoding | None:
    """The rows of a body as a matrix where all are as the model's signature says, and no key can be there twice."""
    if body.count(b":") > 1 + len(texts) * len(stable.signature.columns):
        return None
    return stable.encode_json(_together(texts))


def _together(texts: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(texts)


def rows_of(texts: Sequence[bytes]) -> list[dict[str, Any]]:
    """Rows from their JSON. Raises `Invalid` naming the row."""
    try:
        together: list[dict[str, Any]] = _ROWS(_together(texts))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    else:
        return together
    rows = []
    for index, text in enumerate(texts):
        try:
            rows.append(_ROW(text))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            rows.append(_row_or_why(text, index))
    return rows


def _row_or_why(text: bytes, index: int) -> dict[str, Any]:
    """The row, value by value, so that the one that is wrong has a name: the decoder of a whole row tells none."""
    values = _decoded(text, dict[str, msgspec.Raw], index, f"rows[{index}]")
    return {name: _decoded(bytes(value), Any, index, name) for name, value in values.items()}


def _decoded(text: bytes, kind: Any, row: int, field: str) -> Any:
    where = f"rows[{row}]"
    try:
        return wire.decode(text, kind, where if field == where else f"{where}.{field}", part=True)
    except Invalid as error:
        raise Invalid(error.message, row=row, field=field) from error
