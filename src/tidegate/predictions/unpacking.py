"""From packed predictions to columns. What most rows have in common, such as who answered, is unpacked once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate.predictions.records import Source, Value
from tidegate.predictions.rules import value_number, value_text

if TYPE_CHECKING:
    import polars as pl

    Schema = Mapping[str, pl.DataType]


class _Shadow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `records.Shadow`, field for field."""

    source: msgspec.Raw
    value: msgspec.Raw
    probabilities: list[float] | None = None


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `records.PredictionRow`, field for field."""

    id: str
    at: int
    source: msgspec.Raw
    inputs: bytes
    value: msgspec.Raw
    probabilities: list[float] | None = None
    latency: int = 0
    status: str = "ok"
    unknown: dict[str, int] | None = None
    missing: dict[str, int] | None = None
    weight: float | None = None
    shadows: list[_Shadow] | None = None


_decode = msgspec.msgpack.Decoder(_Row).decode
_decode_source = msgspec.msgpack.Decoder(Source).decode
_decode_value = msgspec.msgpack.Decoder(Value | None).decode
_json = msgspec.json.Encoder().encode

_SOURCE = ("endpoint", "deployment", "model", "number", "variant", "classes")
_VALUE = ("value", "value_number")


def unpacked(payloads: Sequence[bytes], schema: "Schema") -> "pl.DataFrame":
    """The columns of `schema` (of `codecs.prediction_schema`), one row a payload."""
    import polars as pl

    rows = [_decode(payload) for payload in payloads]
    made: dict[str, Callable[[], object]] = {
        "inputs": lambda: [row.inputs.decode("utf-8", "replace") for row in rows],
        "unknown": lambda: [_tally(row.unknown) for row in rows],
        "missing": lambda: [_tally(row.missing) for row in rows],
        "shadows": lambda: _shadows(rows, schema["shadows"]),
    }
    columns: dict[str, object] = dict(_answers(rows, schema))
    for name in schema:
        if name not in columns:
            columns[name] = made[name]() if name in made else list(map(attrgetter(name), rows))
    return pl.DataFrame({name: columns[name] for name in schema}, schema_overrides=schema)


def _answers(answers: "Sequence[_Row | _Shadow]", schema: "Schema") -> "dict[str, pl.Series]":
    """The columns that rows and shadows have in common, those of them that are in `schema`."""
    found: dict[str, pl.Series] = {}
    for part, names, read in (("source", _SOURCE, _source), ("value", _VALUE, _value)):
        wanted = {name: schema[name] for name in names if name in schema}
        if wanted:
            found |= _once(list(map(bytes, map(attrgetter(part), answers))), read, wanted)
    if "probabilities" in schema:
        found["probabilities"] = _lists(map(attrgetter("probabilities"), answers))
    return found


def _once(packed: list[bytes], read: Callable[[bytes], dict[str, Any]], schema: "Schema") -> "dict[str, pl.Series]":
    """What the parts say, each of them read once."""
    import polars as pl

    places = {part: place for place, part in enumerate(dict.fromkeys(packed))}
    said = pl.DataFrame([read(part) for part in places], schema=dict(schema))
    return said[pl.Series([places[part] for part in packed], dtype=pl.UInt32)].to_dict()


def _source(packed: bytes) -> dict[str, Any]:
    source = _decode_source(packed)
    plain = {name: getattr(source, name) for name in _SOURCE}
    return plain | {"classes": _json(source.classes).decode()}


def _value(packed: bytes) -> dict[str, Any]:
    value = _decode_value(packed)
    return {"value": value_text(value), "value_number": value_number(value)}


def _shadows(rows: list[_Row], kind: "pl.DataType") -> "pl.Series":
    """A column of lists of structs, null where a row has no shadow."""
    import polars as pl

    lists = [row.shadows or () for row in rows]
    flat = list(chain.from_iterable(lists))
    fields = dict(kind.inner.to_schema())  # type: ignore[attr-defined]
    columns = _answers(flat, fields)
    return _grouped(pl.DataFrame({name: columns[name] for name in fields}).to_struct("shadows"), lists)


def _lists(values: Iterable[list[float] | None]) -> "pl.Series":
    """A column of lists, null where a list is empty or None; several times faster than Polars makes it of lists."""
    import numpy as np
    import polars as pl

    lists = [value or () for value in values]
    return _grouped(pl.Series("probabilities", np.fromiter(chain.from_iterable(lists), np.float64)), lists)


def _grouped(flat: "pl.Series", lists: "Sequence[Sequence[object]]") -> "pl.Series":
    """A column of lists from the entries of all of them, null where there is none."""
    import numpy as np
    import polars as pl

    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    if len(counts) and (counts == max(counts[0], 1)).all():  # as they are, but where versions change
        return flat.reshape((len(counts), -1)).arr.to_list()
    rows = np.arange(len(counts))
    grouped = pl.DataFrame({"row": np.repeat(rows, counts), flat.name: flat}).group_by("row", maintain_order=True)
    every = pl.DataFrame({"row": rows})
    return every.join(grouped.agg(flat.name), on="row", how="left", maintain_order="left")[flat.name]


def _tally(counts: dict[str, int] | None) -> str | None:
    return _json(counts).decode() if counts else None
