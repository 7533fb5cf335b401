"""Which label of a prediction holds does not depend on the order in which labels are read, nor on how often."""

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.predictions.codecs import LabelCodec, decode_label, label_of
from tidegate.predictions.log import _encode
from tidegate.predictions.reading import holding_labels
from tidegate.predictions.records import LabelRow, Value
from tidegate.predictions.rules import distinct_labels, value_number, value_text

values = st.sampled_from(["late", "on time", "", "1", 1, 1.0, 0, True, False, 2.5, -4, 'ü"', math.nan])
labels = st.builds(LabelRow, st.just("0" * 32), st.just("late"), values, st.integers(0, 3), st.integers(0, 3))


def same(one: LabelRow, other: LabelRow) -> bool:
    """Equal, NaN included."""
    return _encode(one)[34:] == _encode(other)[34:] or (
        value_text(one.value) == value_text(other.value)
        and (one.observed_at, one.received_at) == (other.observed_at, other.received_at)
    )


@given(st.lists(labels, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(given_labels: list[LabelRow], shuffler: object) -> None:
    once = distinct_labels(given_labels)
    mixed = given_labels * 2
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    again = distinct_labels(mixed)
    assert len(once) == len(again)
    assert all(same(one, other) for one, other in zip(once, again, strict=True))
    assert all(same(one, other) for one, other in zip(once, distinct_labels(once), strict=True))


@given(st.lists(labels, min_size=1, max_size=12))
def test_frames_choose_the_same_label(given_labels: list[LabelRow]) -> None:
    frame = LabelCodec().to_frame([_encode(label) for label in given_labels])
    chosen = holding_labels(frame.lazy()).collect().to_dicts()
    assert len(chosen) == 1
    assert same(label_of(chosen[0]), distinct_labels(given_labels)[-1])


def test_the_latest_seen_holds_then_the_latest_received() -> None:
    first = LabelRow("0" * 32, "late", "a", 5, 6)
    corrected = LabelRow("0" * 32, "late", "b", 5, 7)
    older = LabelRow("0" * 32, "late", "c", 4, 9)
    assert distinct_labels([corrected, older, first]) == [older, first, corrected]


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        ("late", '"late"', None),
        ("1", '"1"', None),
        (1, "1", 1.0),
        (1.0, "1.0", 1.0),
        (True, "true", 1.0),
        (None, None, None),
        (math.inf, None, math.inf),
        (2**64 - 1, "18446744073709551615", float(2**64)),
    ],
)
def test_values_are_written_as_json_with_their_number(
    value: Value | None, text: str | None, number: float | None
) -> None:
    assert (value_text(value), value_number(value)) == (text, number)


def test_an_empty_segment_has_the_same_columns() -> None:
    empty, full = LabelCodec().to_frame([]), LabelCodec().to_frame([_encode(LabelRow("0" * 32, "e", 1, 1, 1))])
    assert empty.schema == full.schema
    assert full.schema["observed_at"] == pl.Datetime("us", "UTC")


def test_a_record_with_more_fields_is_still_read() -> None:
    longer = b"\x96" + _encode(LabelRow("0" * 32, "e", 1, 2, 3))[1:] + b"\xa3new"
    assert decode_label(longer) == LabelRow("0" * 32, "e", 1, 2, 3)
