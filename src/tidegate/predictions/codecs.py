"""The topics of the prediction log as columns.

Inputs stay JSON text: any tool reads it, Polars takes it apart without a loop in Python, and it is the text that was
logged, so a prediction reads the same before and after sealing. Values are JSON text too, with their number beside
it, since one file holds the answers of all endpoints: classes, booleans and floats.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate.kernel.clock import to_micros
from tidegate.predictions.records import LABELS, PREDICTIONS, LabelRow, PredictionRow, Shadow, Source, Value
from tidegate.predictions.rules import value_number, value_text
from tidegate.predictions.unpacking import unpacked

if TYPE_CHECKING:
    import polars as pl

decode_prediction = msgspec.msgpack.Decoder(PredictionRow).decode
decode_label = msgspec.msgpack.Decoder(LabelRow).decode

_CHUNK = 2_000
"""So many decoded rows live at a time: the garbage collector walks over all of them."""


def decode_any(payload: bytes) -> PredictionRow | LabelRow:
    """A record of either topic: where a prediction says who answered, a label has its value."""
    try:
        return decode_prediction(payload)
    except msgspec.ValidationError:
        return decode_label(payload)


class PredictionCodec:
    """Predictions, sorted by endpoint and id."""

    topic = PREDICTIONS
    sort_by: Sequence[str] = ("endpoint", "id")
    time_column: str | None = "at"
    id_column: str | None = "id"

    def to_frame(self, payloads: list[bytes], columns: Sequence[str] | None = None) -> "pl.DataFrame":
        """One row a record; of the columns those that are wanted, all by default."""
        import polars as pl

        full = prediction_schema()
        schema = {name: full[name] for name in columns or full}
        frames = [unpacked(payloads[at : at + _CHUNK], schema) for at in range(0, len(payloads) or 1, _CHUNK)]
        return pl.concat(frames, rechunk=True)


class LabelCodec:
    """Labels, sorted by endpoint and prediction."""

    topic = LABELS
    sort_by: Sequence[str] = ("endpoint", "prediction_id")
    time_column: str | None = "received_at"
    id_column: str | None = "prediction_id"

    def to_frame(self, payloads: list[bytes], columns: Sequence[str] | None = None) -> "pl.DataFrame":
        """One row a record; of the columns those that are wanted, all by default."""
        import polars as pl

        rows = [decode_label(payload) for payload in payloads]
        frame = pl.DataFrame(
            {
                "prediction_id": [row.prediction_id for row in rows],
                "endpoint": [row.endpoint for row in rows],
                "label": [value_text(row.value) for row in rows],
                "label_number": [value_number(row.value) for row in rows],
                "observed_at": [row.observed_at for row in rows],
                "received_at": [row.received_at for row in rows],
            },
            schema=label_schema(),
        )
        return frame if columns is None else frame.select(list(columns))


CODECS: list[PredictionCodec | LabelCodec] = [PredictionCodec(), LabelCodec()]
"""For sealing."""


def prediction_of(columns: dict[str, Any]) -> PredictionRow:
    """The record that a row of the columns was; what is not finite comes back as None."""
    return PredictionRow(
        columns["id"],
        to_micros(columns["at"]),
        Source(
            columns["endpoint"],
            columns["deployment"],
            columns["model"],
            columns["number"],
            columns["variant"],
            msgspec.json.decode(columns["classes"], type=tuple[Value, ...]),
        ),
        columns["inputs"].encode(),
        _value(columns["value"]),
        columns["probabilities"],
        columns["latency"],
        columns["status"],
        _counts(columns["unknown"]),
        _counts(columns["missing"]),
        columns["weight"],
        [_shadow_of(columns["endpoint"], shadow) for shadow in columns["shadows"] or ()] or None,
    )


def _shadow_of(endpoint: str, columns: dict[str, Any]) -> Shadow:
    source = Source(
        endpoint,
        columns["deployment"],
        columns["model"],
        columns["number"],
        columns["variant"],
        msgspec.json.decode(columns["classes"], type=tuple[Value, ...]),
    )
    return Shadow(source, _value(columns["value"]), columns["probabilities"])


def label_of(columns: dict[str, Any]) -> LabelRow:
    """The record that a row of the columns was; a NaN for any value that is not finite."""
    value = _value(columns["label"])
    return LabelRow(
        columns["prediction_id"],
        columns["endpoint"],
        math.nan if value is None else value,
        to_micros(columns["observed_at"]),
        to_micros(columns["received_at"]),
    )


def prediction_schema() -> dict[str, "pl.DataType"]:
    """The columns of predictions. Latency in microseconds; `unknown` and `missing` are JSON, null when empty."""
    import polars as pl

    text, instant = pl.String(), pl.Datetime("us", "UTC")
    return {
        "id": text,
        "at": instant,
        "endpoint": text,
        "deployment": text,
        "model": text,
        "number": pl.Int64(),
        "variant": text,
        "inputs": text,
        "value": text,
        "value_number": pl.Float64(),
        "classes": text,
        "probabilities": pl.List(pl.Float64()),
        "latency": pl.Int64(),
        "status": text,
        "unknown": text,
        "missing": text,
        "weight": pl.Float64(),
        "shadows": pl.List(pl.Struct(shadow_schema())),
    }


def shadow_schema() -> dict[str, "pl.DataType"]:
    """The fields of each entry of the column `shadows`, which mean what the columns of the same names mean."""
    import polars as pl

    text = pl.String()
    return {
        "deployment": text,
        "model": text,
        "number": pl.Int64(),
        "variant": text,
        "value": text,
        "value_number": pl.Float64(),
        "classes": text,
        "probabilities": pl.List(pl.Float64()),
    }


def label_schema() -> dict[str, "pl.DataType"]:
    """The columns of labels."""
    import polars as pl

    text, instant = pl.String(), pl.Datetime("us", "UTC")
    return {
        "prediction_id": text,
        "endpoint": text,
        "label": text,
        "label_number": pl.Float64(),
        "observed_at": instant,
        "received_at": instant,
    }


def _value(text: str | None) -> Value | None:
    value: Value | None = None if text is None else msgspec.json.decode(text, type=Value)
    return value


def _counts(text: str | None) -> dict[str, int] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, int])
