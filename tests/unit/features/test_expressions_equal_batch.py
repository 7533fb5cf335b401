"""One expression, two executions: a row computed by itself equals its row of the columns that Polars computes."""

import functools
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidegate as tg
from tidegate.features.batch_expressions import compute_columns
from tidegate.features.expressions import (
    Apply,
    ColumnOf,
    Constant,
    Expression,
    SourceType,
    col,
    columns_of,
    compute_row,
    type_of,
)
from tidegate.kernel.errors import Invalid

TYPES: dict[str, SourceType] = {"i": "Int64", "j": "Int64", "f": "Float64", "g": "Float64", "b": "Boolean", "t": "Text"}
POLARS = {"Int64": pl.Int64(), "Float64": pl.Float64(), "Boolean": pl.Boolean(), "Text": pl.String()}

INTEGERS = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53 + 1, 2**63 - 1]))
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, 1.0, 2.0**53, 1e308, -1e308, 5e-324])
)
TEXTS = st.sampled_from(["", "UA", "ua", "ß", "💥", "\u0301a", "\ud7ff", "\uffff", "\U0010ffff", "B6"])
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "Int64": INTEGERS, "Float64": FLOATS, "Boolean": st.booleans(), "Text": TEXTS,
}  # fmt: skip
ROWS = st.lists(
    st.fixed_dictionaries({name: st.one_of(st.none(), CELLS[kind]) for name, kind in TYPES.items()}),
    min_size=1,
    max_size=8,
)


@functools.cache
def leaves(kind: str) -> st.SearchStrategy[Any]:
    """Columns and constants of a type."""
    names = [name for name, own in TYPES.items() if own == kind]
    return st.one_of(st.sampled_from(names).map(col), CELLS[kind].map(Constant))


@functools.cache
def expressions(kind: str, depth: int) -> st.SearchStrategy[Any]:
    """Expressions of a type, up to so deep."""
    if not depth:
        return leaves(kind)
    below = {each: expressions(each, depth - 1) for each in CELLS}
    number = st.one_of(below["Int64"], below["Float64"])
    same = below[kind]
    chosen = [
        leaves(kind),
        st.builds(lambda one, two: one.fill_null(two), same, same),
        st.builds(lambda one, test, two: one.when(test, two), same, below["Boolean"], same),
    ]
    if kind == "Float64":
        arithmetic = ("add", "subtract", "multiply", "divide")
        chosen.append(st.builds(lambda f, one, two: Apply(f, (one, two)), st.sampled_from(arithmetic), number, number))
        chosen.append(st.builds(lambda one: -one, number))
        chosen.append(st.builds(abs, number))
        chosen.append(st.builds(lambda one, two: one.fill_null(two), below["Int64"], below["Float64"]))
    if kind == "Boolean":
        orders = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
        for pair in (number, below["Text"]):
            chosen.append(st.builds(lambda f, one, two: Apply(f, (one, two)), st.sampled_from(orders), pair, pair))
        chosen.append(st.builds(lambda one, two: one.equals(two), same, same))
        chosen.append(st.builds(lambda one, two: one & two, same, same))
        chosen.append(st.builds(lambda one, two: one | two, same, same))
        chosen.append(st.builds(lambda one: ~one, same))
        chosen.append(st.builds(lambda one: one.is_null(), st.one_of(*below.values())))
    return st.one_of(chosen)


ANY = st.sampled_from(sorted(CELLS)).flatmap(lambda kind: expressions(kind, 2))


def alike(one: Any, two: Any) -> bool:
    """Equal to the bit, but for the sign of zero, which no model sees."""
    return type(one) is type(two) and one == two


@settings(max_examples=80, deadline=None)
@given(expression=ANY, rows=ROWS)
def test_a_row_equals_its_row_of_the_columns(expression: Any, rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema={name: POLARS[kind] for name, kind in TYPES.items()})
    kind = type_of(expression, TYPES, "it")
    columns = compute_columns(frame, {"made": expression}, TYPES)["made"]
    assert columns.dtype == POLARS[kind]
    compute = compute_row(expression, TYPES)
    alone = [compute(row) for row in rows]
    assert all(map(alike, alone, columns.to_list())), (expression, rows, alone, columns.to_list())
    assert all(cell is None or not isinstance(cell, float) or math.isfinite(cell) for cell in alone)


@pytest.mark.parametrize("first", [None, 1.0])
@pytest.mark.parametrize("divisor", [col("i"), col("i") * 0 + 1623.0, 1623])
def test_a_quotient_is_rounded_once(first: float | None, divisor: Any) -> None:
    """1623 is among the numbers by which one cannot divide as by a factor of 1 / 1623."""
    rows = [dict.fromkeys(TYPES) | {"f": f, "i": 1623} for f in (first, 32326662673431.0)]
    frame = pl.DataFrame(rows, schema={name: POLARS[kind] for name, kind in TYPES.items()})
    made = compute_columns(frame, {"made": col("f") / divisor}, TYPES)["made"].to_list()
    assert made == [None if first is None else first / 1623, 32326662673431.0 / 1623]


def value(expression: Expression, **row: Any) -> Any:
    """What an expression makes of a row."""
    whole = dict.fromkeys(TYPES) | row
    return compute_row(expression, TYPES)(whole)  # type: ignore[arg-type]


def test_what_is_undefined_is_null() -> None:
    assert value(col("i") / 0, i=5) is None
    assert value(col("f") * 10, f=1e308) is None
    assert value(col("i") + 1) is None
    assert value(col("f") < 3) is None
    assert value(col("i") + 2**62, i=2**62) == 2.0**63, "arithmetic answers floats: nothing wraps around"


def test_a_null_decides_nothing_but_may_not_matter() -> None:
    assert value(col("b") & False) is False
    assert value(col("b") | True) is True
    assert value(col("b") & True) is None
    assert value(~col("b")) is None
    assert value(col("i").fill_null(7)) == 7
    assert value(col("i").is_null()) is True
    assert value(Constant(1).when(col("b"), 2)) == 2


def test_integers_compare_exactly() -> None:
    assert value(col("i") < col("j"), i=2**53, j=2**53 + 1) is True
    assert value(col("i").equals(float(2**53)), i=2**53 + 1) is True, "with a float, as floats"


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        (col("nobody"), "no column 'nobody'"),
        (col("t") + 1, "add does not take Text and Int64"),
        (col("b") < col("b"), "less does not take Boolean"),
        (col("t") < 1, "less does not take"),
        (col("i") & col("b"), "and does not take"),
        (col("i").fill_null("x"), "fill_null does not take"),
        (Constant(2**63), "more than 64 bits"),
        (Constant(None), "null in every row"),
        (Apply("add", (col("i"),)), "takes 2 operands"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(expression: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        type_of(expression, TYPES, "feature 'x'")


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_constant_is_finite(number: float) -> None:
    with pytest.raises(Invalid, match="no finite number"):
        col("f") + number


def test_depth_has_a_limit_and_no_recursion_before_it() -> None:
    deep: Any = col("f")
    for _ in range(5000):
        deep = deep + 1
    for look in (lambda: type_of(deep, TYPES, "feature 'x'"), lambda: columns_of(deep)):
        with pytest.raises(Invalid, match="64 levels"):
            look()


def test_an_expression_is_not_taken_for_a_truth() -> None:
    with pytest.raises(TypeError, match="combine with"):
        bool(tg.col("a") < 3)
    with pytest.raises(TypeError, match="equals"):
        assert tg.col("a") == 3
    assert tg.col("a") == ColumnOf("a")
    assert tg.col("a") + 1 != tg.col("a") + 2
    with pytest.raises(Invalid, match="no part of an expression"):
        tg.col("a") * {1}
