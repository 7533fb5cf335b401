"""The law of one coding: row by row in serving equals the whole frame in training, bit for bit."""

import json
import math
from typing import Any

import msgspec
import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.data.matrix import encode_frame, infer_columns
from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import LARGEST, Column
from tidegate.models.signature import Encoder, Signature

CATEGORIES = ("", "AA", "Zürich", "東京", "🛫", "a\u0301", "á")
COLUMNS = (
    Column("float", "number", True),
    Column("integer", "number", True),
    Column("ブール", "boolean", True),
    Column("category", "category", True, CATEGORIES),
    Column("strict", "number", False),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
FLOATS = st.floats(min_value=-LARGEST, max_value=LARGEST) | st.sampled_from([float("nan"), -0.0, 1e-45, 1e-310])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "float": st.none() | FLOATS,
            "integer": st.none() | st.integers(-(2**63), 2**63 - 1),
            "ブール": st.none() | st.booleans(),
            "category": st.none() | st.sampled_from(CATEGORIES) | TEXT,
            "strict": FLOATS,
        }
    ),
    max_size=20,
)
TYPES = {"float": pl.Float64, "integer": pl.Int64, "ブール": pl.Boolean, "category": pl.String, "strict": pl.Float64}


@settings(deadline=None)
@given(ROWS)
def test_rows_and_frame_are_coded_alike(rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema=TYPES)
    by_row = Encoder(Signature(columns=COLUMNS, task="regression")).encode(rows)
    by_frame = encode_frame(frame, COLUMNS)
    assert by_row.matrix.shape == by_frame.shape == (len(rows), 5)
    assert by_row.matrix.tobytes() == by_frame.tobytes()
    unseen = sum(row["category"] is not None and row["category"] not in CATEGORIES for row in rows)
    assert by_row.unknown == ({"category": unseen} if unseen else {})


@settings(deadline=None)
@given(ROWS.filter(bool))
def test_a_frame_is_coded_by_its_own_columns_without_a_surprise(rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema=TYPES)
    columns = infer_columns(frame)
    signature = Signature(columns=columns, task="regression", unknown_category="refuse", missing_feature="refuse")
    by_row = Encoder(signature).encode(frame.to_dicts())
    assert by_row.matrix.tobytes() == encode_frame(frame, columns).tobytes()
    assert (by_row.unknown, by_row.missing) == ({}, {})


ANYTHING = st.none() | st.booleans() | st.integers() | FLOATS | st.sampled_from(CATEGORIES) | TEXT | st.just([1])
UNRULY = st.lists(st.dictionaries(st.sampled_from([*TYPES, "stranger"]), ANYTHING), max_size=4)


@settings(deadline=None)
@given(ROWS | UNRULY)
def test_rows_are_coded_from_their_json_as_they_are_once_decoded(rows: list[dict[str, Any]]) -> None:
    """Or not at all: what is not plain is left to whoever counts it, or says what is wrong with it."""
    encoder = Encoder(Signature(columns=COLUMNS, task="regression"))
    text = json.dumps(rows, allow_nan=False) if _finite(rows) else "[null]"
    decoded = msgspec.json.decode(text)
    coded = encoder.encode_json(text.encode())
    try:
        wanted = encoder.encode(decoded)
    except Invalid:
        assert coded is None
        return
    plain = bool(decoded) and not wanted.unknown and not wanted.missing
    if coded is None:
        assert not plain or np.any(np.abs(wanted.matrix) > LARGEST / 2)  # what is nearly too large is looked at twice
    else:
        assert coded.matrix.tobytes() == wanted.matrix.tobytes()
        assert (wanted.unknown, wanted.missing) == (coded.unknown, coded.missing) == ({}, {})


def _finite(rows: list[dict[str, Any]]) -> bool:
    return all(not isinstance(value, float) or math.isfinite(value) for row in rows for value in row.values())
