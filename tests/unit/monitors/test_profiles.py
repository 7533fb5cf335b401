"""The object of a profile holds what was put into it, and belongs to one owner."""

from datetime import UTC, datetime

import polars as pl

from tidegate.monitors import profile
from tidegate.predictions.codecs import label_schema

LABELS = pl.DataFrame(
    {
        "prediction_id": ["1", "2", "3"],
        "endpoint": ["late", "late", "späť"],
        "label": ["true", None, '"a\\nb"'],
        "label_number": [1.0, None, None],
        "observed_at": [datetime(2013, 1, 1, tzinfo=UTC), None, None],
        "received_at": [datetime(2013, 1, 1, tzinfo=UTC)] * 3,
    },
    schema=label_schema(),
)


def test_what_was_packed_is_unpacked_whole_or_in_part() -> None:
    for rows in (LABELS, LABELS.clear(), pl.concat([LABELS, LABELS], rechunk=False)):
        data = profile.packed(rows, "späť/model/1")
        assert profile.unpacked(data).equals(rows)
        assert profile.unpacked(data).schema == rows.schema
        assert profile.unpacked(data, ["label"]).equals(rows.select("label"))


def test_owners_share_no_object() -> None:
    assert profile.packed(LABELS, "a") == profile.packed(LABELS, "a")
    assert profile.packed(LABELS, "a") != profile.packed(LABELS, "b")
