"""Which of several labels of one prediction holds, and how values are written down and compared."""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from tidegate.kernel.clock import from_micros
from tidegate.predictions.records import Label, LabelRow, Prediction, PredictionRow, Shadow, ShadowAnswer, Value

_encode = msgspec.json.Encoder().encode


def value_text(value: Value | None) -> str | None:
    """The value as JSON text; None for what JSON has no word for: None, NaN and infinities."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return _encode(value).decode()


def value_number(value: Value | None) -> float | None:
    """The value as a number, None when it is text. Two numbers are the same value, whatever their type."""
    return None if value is None or isinstance(value, str) else float(value)


def distinct_labels(rows: Iterable[LabelRow]) -> list[LabelRow]:
    """The different labels of one prediction, the one that holds last.

    The latest `observed_at` holds, then the latest `received_at`, then the greater text: the greatest of a total
    order, so that neither the order nor the number of readings matters. Repeats, equal in value and `observed_at`,
    are one label: the one received last.
    """
    kept: dict[tuple[str, int], LabelRow] = {}
    for row in rows:
        key = value_text(row.value) or "", row.observed_at
        known = kept.get(key)
        if known is None or row.received_at > known.received_at:
            kept[key] = row
    return sorted(kept.values(), key=lambda row: (row.observed_at, row.received_at, value_text(row.value) or ""))


def told(row: PredictionRow, labels: list[LabelRow]) -> Prediction:
    """A prediction as it is answered, with its `distinct_labels`."""
    known = [_label(label) for label in labels]
    return Prediction(
        id=row.id,
        at=from_micros(row.at),
        endpoint=row.source.endpoint,
        deployment=row.source.deployment,
        model=f"{row.source.model}/{row.source.number}",
        variant=row.source.variant,
        inputs=msgspec.json.decode(row.inputs.decode("utf-8", "replace"), type=dict[str, Any]),
        value=_finite(row.value),
        classes=list(row.source.classes),
        probabilities=_shares(row.probabilities),
        latency=row.latency,
        status=row.status,
        unknown=row.unknown or {},
        missing=row.missing or {},
        weight=row.weight,
        shadows=[_shadow(shadow) for shadow in row.shadows or ()],
        label=known[-1] if known else None,
        labels=known,
    )


def _shadow(shadow: Shadow) -> ShadowAnswer:
    return ShadowAnswer(
        deployment=shadow.source.deployment,
        model=f"{shadow.source.model}/{shadow.source.number}",
        variant=shadow.source.variant,
        value=_finite(shadow.value),
        probabilities=_shares(shadow.probabilities),
    )


def _shares(probabilities: list[float] | None) -> list[float | None] | None:
    return [_finite(share) for share in probabilities] if probabilities else None


def _label(row: LabelRow) -> Label:
    return Label(row.prediction_id, _finite(row.value), from_micros(row.observed_at), from_micros(row.received_at))


_V = TypeVar("_V", bound=Value)


def _finite(value: _V | None) -> _V | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
