"""The topics of the prediction log as columns.

Inputs stay JSON text: any tool reads it, Polars takes it apart without a loop in Python, and it is the text that was
logged, so a prediction reads the same before and after sealing. Values are JSON text too, with their number beside
it, since one file holds the answers of all endpoints: classes, booleans and floats.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate.kernel.clock import to_micros
from tidegate.predictions.records import LABELS, PREDICTIONS, LabelRow, PredictionRow, Shadow, Source, Value
from tidegate.predictions.rules import value_number, value_text

if TYPE_CHECKING:
    import polars as pl

decode_prediction = msgspec.msgpack.Decoder(PredictionRow).decode
decode_label = msgspec.msgpack.Decoder(LabelRow).decode
_json = msgspec.json.Encoder().encode

_OF_SOURCE = frozenset({"endpoint", "deployment", "model", "number", "variant"})

_CHUNK = 10_000
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
        chunks = [_columns(payloads[at : at + _CHUNK], schema) for at in range(0, len(payloads), _CHUNK)]
        frames = [pl.DataFrame(chunk, schema_overrides=schema) for chunk in chunks]
        return pl.concat([pl.DataFrame(schema=schema), *frames]).rechunk()


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


def _columns(payloads: list[bytes], wanted: Iterable[str]) -> dict[str, object]:
    rows = [decode_prediction(payload) for payload in payloads]
    sources = [row.source for row in rows]
    made: dict[str, Callable[[], object]] = {
        "inputs": lambda: [row.inputs.decode("utf-8", "replace") for row in rows],
        "value": lambda: [value_text(row.value) for row in rows],
        "value_number": lambda: [value_number(row.value) for row in rows],
        "classes": lambda: [_json(source.classes).decode() for source in sources],
        "probabilities": lambda: _lists([row.probabilities for row in rows]),
        "unknown": lambda: [_tally(row.unknown) for row in rows],
        "missing": lambda: [_tally(row.missing) for row in rows],
        "shadows": lambda: _shadows(rows),
    }
    return {name: made[name]() if name in made else _plain(name, rows, sources) for name in wanted}


def _plain(name: str, rows: list[PredictionRow], sources: list[Source]) -> list[object]:
    """A column whose values are as they were logged."""
    return list(map(attrgetter(name), sources if name in _OF_SOURCE else rows))


def _shadows(rows: list[PredictionRow]) -> "pl.Series":
    """A column of lists of structs, null where a row has no shadow."""
    import numpy as np
    import polars as pl

    flat = [shadow for row in rows for shadow in row.shadows or ()]
    if not flat:
        return pl.repeat(None, len(rows), dtype=pl.List(pl.Struct(shadow_schema())), eager=True)
    counts = np.fromiter((len(row.shadows or ()) for row in rows), np.int64, len(rows))
    sources = [shadow.source for shadow in flat]
    columns = {
        "deployment": [source.deployment for source in sources],
        "model": [source.model for source in sources],
        "number": [source.number for source in sources],
        "variant": [source.variant for source in sources],
        "value": [value_text(shadow.value) for shadow in flat],
        "value_number": [value_number(shadow.value) for shadow in flat],
        "classes": [_json(source.classes).decode() for source in sources],
        "probabilities": _lists([shadow.probabilities for shadow in flat]),
    }
    structs = pl.DataFrame(columns, schema=shadow_schema()).to_struct("shadows")
    places = np.arange(len(rows))
    grouped = pl.DataFrame({"row": np.repeat(places, counts), "shadows": structs}).group_by("row", maintain_order=True)
    every = pl.DataFrame({"row": places})
    return every.join(grouped.agg("shadows"), on="row", how="left", maintain_order="left")["shadows"]


def _lists(values: list[list[float] | None]) -> "pl.Series":
    """A column of lists, null where a list is empty or None; several times faster than Polars makes it of lists."""
    import numpy as np
    import polars as pl

    lengths = np.fromiter((len(value) if value else 0 for value in values), np.int64, len(values))
    flat = np.fromiter((number for value in values if value for number in value), np.float64, int(lengths.sum()))
    rows = np.arange(len(values))
    grouped = pl.DataFrame({"row": np.repeat(rows, lengths), "value": flat}).group_by("row", maintain_order=True)
    filled = pl.DataFrame({"row": rows}).join(grouped.agg("value"), on="row", how="left", maintain_order="left")
    return filled["value"]


def _value(text: str | None) -> Value | None:
    value: Value | None = None if text is None else msgspec.json.decode(text, type=Value)
    return value


def _counts(text: str | None) -> dict[str, int] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, int])


def _tally(counts: dict[str, int] | None) -> str | None:
    return _json(counts).decode() if counts else None
