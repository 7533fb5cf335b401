"""Rules of serving: labels, instants, counts, the spelling of classes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.endpoints.records import OutcomeIn
from tidegate.endpoints.rules import (
    MAX_ROWS,
    SKEW,
    canonical_classes,
    check_count,
    check_outcome,
    check_outcomes,
    moments_of,
    spelling,
)
from tidegate.kernel.clock import EARLIEST, to_micros
from tidegate.kernel.errors import Invalid
from tidegate.kernel.ids import IdFactory

NOW = datetime(2013, 10, 1, tzinfo=UTC)


class Standing:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW


IDS = IdFactory(Standing())

labels = st.text() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(labels, unique_by=lambda label: (isinstance(label, str), label)))
def test_a_class_is_found_by_whatever_equals_it(classes: list[str | int | float | bool]) -> None:
    canonical = canonical_classes(classes)
    for label in classes:
        kept = check_outcome(0, OutcomeIn(IDS.new(), label, NOW), canonical, NOW) if canonical else None
        assert kept == label
        assert type(kept) is type(label)


@given(labels)
def test_a_class_is_spelled_as_json_does(label: str | int | float | bool) -> None:
    assert spelling(label) == (label if isinstance(label, str) else json.dumps(label))


def test_ids_may_be_ahead_by_the_skew_of_clocks_only() -> None:
    ahead = IdFactory(Standing()).new(NOW + SKEW)
    assert check_outcome(0, OutcomeIn(ahead, 1.0, NOW), {}, NOW) == 1.0
    later = IdFactory(Standing()).new(NOW + SKEW + timedelta(seconds=1))
    with pytest.raises(Invalid, match=r"labels\[3\]\.prediction_id.*future"):
        check_outcome(3, OutcomeIn(later, 1.0, NOW), {}, NOW)


@pytest.mark.parametrize("text", ["", "7", "0" * 31, "G" * 32, "0x" + "0" * 30, "٣" * 32, "0" * 32, "A" * 32])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"labels\[0\]\.prediction_id"):
        check_outcome(0, OutcomeIn(text, 1.0, NOW), {}, NOW)


AHEAD = NOW + SKEW
BORN = [IdFactory(Standing()).new(at) for at in (NOW, AHEAD, AHEAD + timedelta(milliseconds=1))]
ids = st.sampled_from([*BORN, "0" * 32, "A" * 32, "7", "f" * 32])
seen = st.sampled_from([NOW, NOW - timedelta(days=1), NOW + timedelta(microseconds=1)])
outcomes = st.builds(OutcomeIn, ids, st.sampled_from([True, 1, 0, 1.0, "late", 2]), seen)


@given(st.lists(outcomes, max_size=4), st.sampled_from([[], [False, True], ["late", "on time"], [0, 1, 2]]))
def test_outcomes_are_taken_and_refused_together_as_one_by_one(
    some: list[OutcomeIn], classes: list[str | int | bool]
) -> None:
    canonical = canonical_classes(classes)

    def told(check: Callable[[], list[Any]]) -> str:
        try:
            return repr(check())
        except Invalid as error:
            return error.message

    together = told(lambda: check_outcomes(some, canonical, NOW))
    assert together == told(lambda: [check_outcome(index, one, canonical, NOW) for index, one in enumerate(some)])


def test_one_instant_a_row_and_none_of_the_future() -> None:
    assert moments_of([NOW, NOW - timedelta(seconds=1)], 2, NOW) == [to_micros(NOW, "at"), to_micros(NOW, "at") - 10**6]
    with pytest.raises(Invalid, match=r"one instant a row \(2\), got 1"):
        moments_of([NOW], 2, NOW)
    with pytest.raises(Invalid, match=r"at\[1\].*future"):
        moments_of([NOW, NOW + timedelta(microseconds=1)], 2, NOW)
    with pytest.raises(Invalid, match=r"at\[0\].*years 1 to 9999"):
        moments_of([datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23)))], 1, NOW)
    assert moments_of([EARLIEST], 1, NOW) == [to_micros(EARLIEST)]
    with pytest.raises(Invalid, match=r"at\[1\] 0999-12-31.* is no business time"):
        moments_of([EARLIEST, EARLIEST - timedelta(microseconds=1)], 2, NOW)


def test_counts() -> None:
    check_count(1, "rows")
    check_count(MAX_ROWS, "rows")
    for count in (0, MAX_ROWS + 1):
        with pytest.raises(Invalid, match="rows: one call takes"):
            check_count(count, "rows")
