"""Predictions as columns say what was logged, whatever most rows have in common."""

import msgspec

from tidegate.predictions import unpacking
from tidegate.predictions.codecs import PredictionCodec, prediction_of
from tidegate.predictions.records import PredictionRow, Shadow, Source

STABLE = Source("late", "a" * 32, "late", 1, "stable", (False, True))
CANARY = Source("late", "b" * 32, "late", 2, "canary", (False, True))
PRICE = Source("price", "c" * 32, "price", 1, "stable")
WORDS = Source("price", "d" * 32, "price", 2, "shadow", ("12", "13"))

ROWS = [
    PredictionRow("1", 1, STABLE, b'{"a":1}', True, [0.25, 0.75], 9, "ok", {"a": 2}, None, 0.25),
    PredictionRow("2", 2, STABLE, b"{}", None, None, 9, "failed", shadows=[Shadow(CANARY, False, [0.5, 0.5])]),
    PredictionRow("3", 3, PRICE, b"{}", 12.5, None, 9, shadows=[Shadow(PRICE, 12, None), Shadow(WORDS, "12", None)]),
]


def test_the_fields_are_those_of_the_records() -> None:
    assert unpacking._Row.__struct_fields__ == PredictionRow.__struct_fields__
    assert unpacking._Shadow.__struct_fields__ == Shadow.__struct_fields__


def test_rows_come_back_as_they_were_together_and_alone() -> None:
    payloads = [msgspec.msgpack.encode(row) for row in ROWS]
    assert [prediction_of(row) for row in PredictionCodec().to_frame(payloads).to_dicts()] == ROWS
    for payload, row in zip(payloads, ROWS, strict=True):
        assert [prediction_of(each) for each in PredictionCodec().to_frame([payload]).to_dicts()] == [row]
    assert PredictionCodec().to_frame([]).is_empty()
