"""Expressions over a row's columns: what they are, which type they answer, and how one row is computed.

The semantics are our own, the same on every engine:

- **Null.** A null operand gives null, but for `is_null` and `fill_null`, and for `&` and `|`, which know what holds
  whatever the other side is (``false & null`` is false, ``true | null`` is true). `when` takes the second branch
  where its condition is null.
- **Arithmetic** answers a Float64, also of integers. What is no finite number (division by zero, overflow) is null;
  so are NaN and infinities in a source.
- **Comparison** of two integers is exact, of an integer with a float by Float64, of texts by code point.

`batch_expressions` computes the same over columns; a test with random rows holds both together.
"""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from tidegate.kernel.errors import Invalid

ColumnType = Literal["Int64", "Float64", "Boolean", "Text"]
"""What a feature may be."""

SourceType = Literal["Int64", "Float64", "Boolean", "Text", "Instant", "Date"]
"""What a column of a source may be."""

Scalar = bool | int | float | str | None

Function = Literal[
    "add", "subtract", "multiply", "divide", "negate", "absolute", "less", "less_equal", "greater", "greater_equal",
    "equal", "not_equal", "and", "or", "not", "is_null", "fill_null", "when",
]  # fmt: skip

Computed = Callable[[Mapping[str, Any]], Any]
"""One row's value, from its columns by name; every column is there, finite or null."""

MOST_LEVELS: Final = 64
MOST_PARTS: Final = 1000
ARITHMETIC: Final = ("add", "subtract", "multiply", "divide")
EQUALITIES: Final = ("equal", "not_equal")
COMPARISONS: Final = ("less", "less_equal", "greater", "greater_equal", *EQUALITIES)
_NUMBERS: Final = ("Int64", "Float64")
_OPERANDS: Final[dict[str, int]] = {"negate": 1, "absolute": 1, "not": 1, "is_null": 1, "when": 3}


class Expression(msgspec.Struct, frozen=True, eq=False):
    """A value of a row, computed from its columns. `tg.col` begins one; operators and methods build on."""

    def __bool__(self) -> bool:
        raise TypeError("an expression is neither true nor false yet: combine with & | ~, and put comparisons in ( )")

    def __hash__(self) -> int:
        return hash(msgspec.json.encode(self))

    def __eq__(self, other: object) -> bool:
        """Whether both are the same expression. A comparison of values is `equals`."""
        if isinstance(other, bool | int | float | str):
            raise TypeError(f"expressions compare values by .equals({other!r}), not by ==")
        if not isinstance(other, Expression):
            return NotImplemented
        return bool(msgspec.json.encode(self) == msgspec.json.encode(other))

    def __add__(self, other: object) -> "Apply":
        return _apply("add", self, other)

    def __radd__(self, other: object) -> "Apply":
        return _apply("add", other, self)

    def __sub__(self, other: object) -> "Apply":
        return _apply("subtract", self, other)

    def __rsub__(self, other: object) -> "Apply":
        return _apply("subtract", other, self)

    def __mul__(self, other: object) -> "Apply":
        return _apply("multiply", self, other)

    def __rmul__(self, other: object) -> "Apply":
        return _apply("multiply", other, self)

    def __truediv__(self, other: object) -> "Apply":
        return _apply("divide", self, other)

    def __rtruediv__(self, other: object) -> "Apply":
        return _apply("divide", other, self)

    def __neg__(self) -> "Apply":
        return _apply("negate", self)

    def __abs__(self) -> "Apply":
        return _apply("absolute", self)

    def __lt__(self, other: object) -> "Apply":
        return _apply("less", self, other)

    def __le__(self, other: object) -> "Apply":
        return _apply("less_equal", self, other)

    def __gt__(self, other: object) -> "Apply":
        return _apply("greater", self, other)

    def __ge__(self, other: object) -> "Apply":
        return _apply("greater_equal", self, other)

    def __and__(self, other: object) -> "Apply":
        return _apply("and", self, other)

    def __or__(self, other: object) -> "Apply":
        return _apply("or", self, other)

    def __invert__(self) -> "Apply":
        return _apply("not", self)

    def equals(self, other: object) -> "Apply":
        """Whether two values are equal."""
        return _apply("equal", self, other)

    def differs(self, other: object) -> "Apply":
        """Whether two values are not equal."""
        return _apply("not_equal", self, other)

    def is_null(self) -> "Apply":
        """Whether the value is null."""
        return _apply("is_null", self)

    def fill_null(self, other: object) -> "Apply":
        """The value, or the other one where it is null."""
        return _apply("fill_null", self, other)

    def when(self, condition: object, otherwise: object) -> "Apply":
        """The value where the condition is true, else the other one."""
        return _apply("when", condition, self, otherwise)


class ColumnOf(Expression, frozen=True, eq=False, tag="column"):
    """A column of the source."""

    name: str


class Constant(Expression, frozen=True, eq=False, tag="constant"):
    """The same value in every row."""

    value: Scalar

    def __post_init__(self) -> None:
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise Invalid(f"the constant {self.value} is no finite number: use null (None)")


class Apply(Expression, frozen=True, eq=False, tag="apply"):
    """A function of other expressions."""

    function: Function
    of: tuple["ColumnOf | Constant | Apply", ...]


AnyExpression = ColumnOf | Constant | Apply


def col(name: str) -> ColumnOf:
    """A column of the source."""
    return ColumnOf(name)


def expression_of(value: object) -> AnyExpression:
    """The value itself where it is an expression, else a constant. Raises `Invalid` for what is neither."""
    if isinstance(value, AnyExpression):
        return value
    if value is None or isinstance(value, bool | int | float | str):
        return Constant(value)
    raise Invalid(
        f"a {type(value).__name__} is no part of an expression: it takes tg.col(…), numbers, booleans and text"
    )


def _apply(function: Function, *of: object) -> Apply:
    return Apply(function, tuple(map(expression_of, of)))


def parts_of(expression: AnyExpression, where: str) -> Iterator[AnyExpression]:
    """Every part, the whole first. Raises `Invalid` for what is nested too deeply or too large."""
    waiting = [(expression, 1)]
    count = 0
    while waiting:
        part, level = waiting.pop()
        count += 1
        if level > MOST_LEVELS or count > MOST_PARTS:
            raise Invalid(
                f"{where} is nested more than {MOST_LEVELS} levels deep or has more than {MOST_PARTS:,} parts: "
                "compute some of it into a column of the source"
            )
        yield part
        if isinstance(part, Apply):
            waiting.extend((one, level + 1) for one in part.of)


def columns_of(expression: AnyExpression, where: str = "the expression") -> set[str]:
    """The columns that it reads. Raises `Invalid` for what is nested too deeply."""
    return {part.name for part in parts_of(expression, where) if isinstance(part, ColumnOf)}


def type_of(expression: AnyExpression, types: Mapping[str, SourceType], where: str) -> ColumnType:
    """The type of its values. Raises `Invalid` for an unknown column, a constant that is none, or wrong operands."""
    for _part in parts_of(expression, where):
        pass
    found: ColumnType | None = infer_type(expression, types, where)
    if found in ("Instant", "Date"):
        raise Invalid(f"{where} is of type {found}, which is no feature: make a number of it in the source")
    if found is None:
        raise Invalid(f"{where} is null in every row: give it a column")
    return found


def infer_type(expression: AnyExpression, types: Mapping[str, SourceType], where: str) -> Any:
    """The type of a part, None where it is null in every row. Raises `Invalid` for operands that do not fit."""
    if isinstance(expression, ColumnOf):
        if expression.name not in types:
            known = ", ".join(sorted(types)[:20]) or "none"
            raise Invalid(f"{where}: the source has no column {expression.name[:80]!r}; it has {known}")
        return types[expression.name]
    if isinstance(expression, Constant):
        return _constant_type(expression.value, where)
    wanted = _OPERANDS.get(expression.function, 2)
    if len(expression.of) != wanted:
        raise Invalid(f"{where}: {expression.function} takes {wanted} operands, {len(expression.of)} were given")
    return _result(expression.function, [infer_type(one, types, where) for one in expression.of], where)


def _constant_type(value: Scalar, where: str) -> Any:
    if value is None:
        return None
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, str):
        return "Text"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise Invalid(f"{where}: an integer constant needs more than 64 bits: write it as a float")
        return "Int64"
    return "Float64"


def _result(function: str, given: list[Any], where: str) -> Any:
    """The type of a function of these types; a null constant fits everywhere."""
    known = [kind for kind in given if kind is not None]

    def fit(*kinds: str) -> bool:
        return all(kind in kinds for kind in known)

    if function == "is_null":
        return "Boolean"
    if function in ("and", "or", "not") and fit("Boolean"):
        return "Boolean"
    if function in (*ARITHMETIC, "negate", "absolute") and fit(*_NUMBERS):
        return "Float64"
    if function in COMPARISONS and (fit(*_NUMBERS) or fit("Text") or (function in EQUALITIES and fit("Boolean"))):
        return "Boolean"
    branches = [kind for kind in given[-2:] if kind is not None]
    chooses = function == "fill_null" or (function == "when" and given[0] in ("Boolean", None))
    if chooses and (all(kind in _NUMBERS for kind in branches) or len(set(branches)) <= 1):
        return _common(branches)
    shown = " and ".join(kind or "null" for kind in given)
    raise Invalid(f"{where}: {function} does not take {shown}")


def _common(kinds: list[Any]) -> Any:
    """The type of a choice between these."""
    if not kinds:
        return None
    return "Float64" if len(set(kinds)) > 1 else kinds[0]


def compute_row(expression: AnyExpression, types: Mapping[str, SourceType]) -> Computed:
    """The expression as a function of one row. It has been checked by `type_of`."""
    if isinstance(expression, ColumnOf):
        return operator.itemgetter(expression.name)
    if isinstance(expression, Constant):
        value = expression.value
        return lambda _row: value
    of = [compute_row(one, types) for one in expression.of]
    function = expression.function
    if function == "is_null":
        return lambda row: of[0](row) is None
    if function in ("fill_null", "when"):
        as_float = infer_type(expression, types, "") == "Float64"
        return _chosen(function, of, as_float)
    if function in ("and", "or"):
        return _kleene(function == "or", *of)
    if len(of) == 1:
        return _unary(function, of[0])
    if function in ARITHMETIC:
        return _arithmetic(_PYTHON[function], *of)
    as_float = any(infer_type(one, types, "") == "Float64" for one in expression.of)
    return _binary(_PYTHON[function], *of, as_float=as_float)


_PYTHON: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
}


def _unary(function: str, of: Computed) -> Computed:
    def compute(row: Mapping[str, Any]) -> Any:
        value = of(row)
        if value is None:
            return None
        if function == "not":
            return not value
        return -float(value) if function == "negate" else abs(float(value))

    return compute


def _arithmetic(function: Callable[[Any, Any], Any], left: Computed, right: Computed) -> Computed:
    def compute(row: Mapping[str, Any]) -> Any:
        one, two = left(row), right(row)
        if one is None or two is None:
            return None
        try:
            answer = function(float(one), float(two))
        except ZeroDivisionError:
            return None
        return answer if math.isfinite(answer) else None

    return compute


def _binary(function: Callable[[Any, Any], Any], left: Computed, right: Computed, *, as_float: bool) -> Computed:
    def compute(row: Mapping[str, Any]) -> Any:
        one, two = left(row), right(row)
        if one is None or two is None:
            return None
        return function(float(one), float(two)) if as_float else function(one, two)

    return compute


def _kleene(decisive: bool, left: Computed, right: Computed) -> Computed:
    def compute(row: Mapping[str, Any]) -> Any:
        one, two = left(row), right(row)
        if one is decisive or two is decisive:
            return decisive
        return None if one is None or two is None else not decisive

    return compute


def _chosen(function: str, of: list[Computed], as_float: bool) -> Computed:
    def compute(row: Mapping[str, Any]) -> Any:
        if function == "when":
            value = of[1](row) if of[0](row) is True else of[2](row)
        else:
            value = of[0](row)
            value = of[1](row) if value is None else value
        return float(value) if as_float and value is not None else value

    return compute
