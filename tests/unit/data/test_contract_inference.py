"""What a first commit teaches: ranges, nulls, categories, order."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.records import Contract, Field
from tidegate.data.rules import Summary, infer_contract, infer_field, learn_range
from tidegate.kernel.errors import Invalid

FINITE = st.floats(-1e300, 1e300)


def number(minimum: float, maximum: float, low: float | None = None, high: float | None = None) -> Summary:
    low = minimum if low is None else low
    high = maximum if high is None else high
    return Summary(name="x", kind="number", rows=1000, minimum=minimum, maximum=maximum, low=low, high=high)


def test_a_range_is_widened_by_the_span() -> None:
    assert learn_range(number(-10, 60)) == (-80, 130)


def test_a_column_that_was_never_negative_stays_so_and_a_mile_is_not_a_kilometre() -> None:
    low, high = learn_range(number(80, 4983))
    assert low == 0
    assert high is not None
    assert 4983 <= high < 4983 * 1.609
    assert learn_range(number(-4983, -80)) == (-high, 0)


def test_the_narrower_of_span_and_ratio_holds() -> None:
    assert learn_range(number(984, 1034)) == (934, 1084)


def test_a_heavy_tail_gets_three_spans() -> None:
    assert learn_range(number(0, 0.5, high=0.125)) == (0, 2)
    assert learn_range(number(-70, 1270, high=170)) == (-1410, 5290)


def test_a_constant_gets_room() -> None:
    low, high = learn_range(number(2013, 2013))
    assert low == 0
    assert high == pytest.approx(2013 * 1.6, rel=1e-5)
    assert learn_range(number(0, 0)) == (0, 1)


@given(FINITE, FINITE, FINITE, FINITE)
def test_data_keeps_the_range_that_it_taught(a: float, b: float, c: float, d: float) -> None:
    least, low, high, greatest = sorted((a, b, c, d))
    bottom, top = learn_range(number(least, greatest, low, high))
    assert bottom is None or bottom <= least
    assert top is None or top >= greatest


def test_infinities_do_not_bind() -> None:
    assert learn_range(number(-math.inf, math.inf)) == (None, None)


def test_few_values_and_identifiers_teach_no_range() -> None:
    few = Summary(name="x", kind="number", rows=99, minimum=0, maximum=1)
    identifier = Summary(name="x", kind="integer", rows=1000, minimum=0, maximum=999, all_different=True)
    assert learn_range(few) == learn_range(identifier) == (None, None)


def test_nulls_teach_twice_their_share_and_five_points() -> None:
    field = infer_field(Summary(name="x", kind="number", rows=1000, nulls=100))
    assert field.nullable
    assert field.share_null == 0.25
    assert not infer_field(number(0, 1)).nullable


@pytest.mark.parametrize(("rows", "values", "kind"), [(100, 10, "category"), (99, 10, "text"), (10_000, 51, "text")])
def test_categories_are_few_and_frequent(rows: int, values: int, kind: str) -> None:
    distinct = tuple(str(value) for value in range(values))
    assert infer_field(Summary(name="x", kind="text", rows=rows, distinct=distinct)).kind == kind


def test_order_is_learnt_from_the_first_sorted_instant() -> None:
    sorted_by_day = Summary(name="day", kind="date", rows=20, ascending=True)
    with_nulls = Summary(name="at", kind="instant", rows=20, nulls=1, ascending=True)
    assert infer_contract([number(0, 1), with_nulls, sorted_by_day]).sorted_by == "day"
    few = Summary(name="day", kind="date", rows=19, ascending=True)
    assert infer_contract([few]).sorted_by is None


def test_a_contract_is_changed_field_by_field() -> None:
    contract = Contract((Field(name="x", kind="number", maximum=1.0), Field(name="y", kind="text")))
    assert contract.changed("x", maximum=2.0).field("x").maximum == 2.0
    assert contract.field("x").maximum == 1.0
    with pytest.raises(Invalid, match="no column 'z'"):
        contract.changed("z", maximum=2.0)
    with pytest.raises(Invalid, match="no 'maxima'"):
        contract.changed("x", maxima=2.0)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": "text", "minimum": 1.0}, "has a range"),
        ({"kind": "number", "minimum": 2.0, "maximum": 1.0}, "above the maximum"),
        ({"kind": "number", "minimum": math.nan}, "finite"),
        ({"kind": "number", "share_null": 1.5}, "outside 0 to 1"),
        ({"kind": "category"}, "lists its values"),
        ({"kind": "number", "name": ""}, "no name"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        Field(**({"name": "x"} | changes))  # type: ignore[arg-type]


def test_a_contract_that_makes_no_sense_is_refused() -> None:
    field = Field(name="x", kind="number")
    with pytest.raises(Invalid, match="twice"):
        Contract((field, field))
    with pytest.raises(Invalid, match="at least one"):
        Contract(())
    with pytest.raises(Invalid, match="sorted by 'y'"):
        Contract((field,), sorted_by="y")
