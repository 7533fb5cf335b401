"""Expressions over columns: the same semantics as `expressions`, as Polars computes them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tidegate.features.expressions import (
    ARITHMETIC,
    COMPARISONS,
    AnyExpression,
    Apply,
    ColumnOf,
    Constant,
    SourceType,
    infer_type,
    type_of,
)

if TYPE_CHECKING:
    import polars as pl

_NAMES: Final = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "equal": "eq",
    "not_equal": "ne",
}


def compute_columns(
    frame: "pl.DataFrame", expressions: Mapping[str, AnyExpression], types: Mapping[str, SourceType]
) -> "pl.DataFrame":
    """A column for each expression, under its name, row for row. They have been checked by `type_of`."""
    wanted = [
        compute_column(expression, types).cast(polars_type(type_of(expression, types, name))).alias(name)
        for name, expression in expressions.items()
    ]
    return frame.with_columns(wanted).select(list(expressions))


def polars_type(kind: str) -> "pl.DataType":
    """How Polars names a type."""
    import polars as pl

    return {"Int64": pl.Int64(), "Float64": pl.Float64(), "Boolean": pl.Boolean(), "Text": pl.String()}[kind]


def compute_column(expression: AnyExpression, types: Mapping[str, SourceType]) -> "pl.Expr":
    """The expression as Polars has it."""
    import polars as pl

    if isinstance(expression, ColumnOf):
        column = pl.col(expression.name)
        return _finite(column) if types[expression.name] == "Float64" else column
    if isinstance(expression, Constant):
        return pl.lit(expression.value)
    return _applied(expression, types)


def _applied(expression: Apply, types: Mapping[str, SourceType]) -> "pl.Expr":
    import polars as pl

    function = expression.function
    of = [compute_column(one, types) for one in expression.of]
    if function in ARITHMETIC:
        floats = [one.cast(pl.Float64) for one in of]
        if function == "divide":  # by a lone number Polars multiplies with 1 / x, which may be off by one bit
            floats[1] += floats[0] * 0.0
        return _finite(getattr(floats[0], _NAMES[function])(floats[1]))
    if function in COMPARISONS:
        return _compared(expression, of, types)
    if function in ("negate", "absolute"):
        number = of[0].cast(pl.Float64)
        return -number if function == "negate" else number.abs()
    if function == "is_null":
        return of[0].is_null()
    if function in ("fill_null", "when"):
        kind = _kind(expression, types)
        casted = [one.cast(kind) for one in of[-2:]] if kind is not None else of[-2:]
        if function == "fill_null":
            return pl.when(casted[0].is_null()).then(casted[1]).otherwise(casted[0])
        return pl.when(of[0].cast(pl.Boolean)).then(casted[0]).otherwise(casted[1])
    booleans = [one.cast(pl.Boolean) for one in of]
    if function == "not":
        return ~booleans[0]
    return booleans[0] & booleans[1] if function == "and" else booleans[0] | booleans[1]


def _compared(expression: Apply, of: "list[pl.Expr]", types: Mapping[str, SourceType]) -> "pl.Expr":
    """Polars compares an integer with a float by Float64, as we do; a null constant has to be given a type."""
    import polars as pl

    kinds = [_kind(one, types) for one in expression.of]
    known = [kind for kind in kinds if kind is not None]
    kind: Any = pl.Float64() if pl.Float64() in known else known[0] if known else pl.Boolean()
    return getattr(of[0].cast(kind), _NAMES[expression.function])(of[1].cast(kind))  # type: ignore[no-any-return]


def _kind(expression: AnyExpression, types: Mapping[str, SourceType]) -> "pl.DataType | None":
    found = infer_type(expression, types, "")
    return None if found is None else polars_type(found)


def _finite(column: "pl.Expr") -> "pl.Expr":
    import polars as pl

    return pl.when(column.is_finite()).then(column)
