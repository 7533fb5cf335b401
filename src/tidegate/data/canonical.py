"""Brings every column into its one stored form, so that the same rows have the same bytes.

Integers are stored as 64 bits, floats as double precision, text as UTF-8, instants as microseconds UTC. What cannot
be brought there without loss is refused with its rows.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from tidegate.data.records import Contract, Kind, Violation
from tidegate.data.rules import SHOWN_ROWS
from tidegate.kernel.errors import Invalid

if TYPE_CHECKING:
    import polars as pl

_REMEDIES = {
    "Decimal": "cast it to pl.Float64, or to text",
    "Time": "make it a number of seconds, or text",
    "Duration": "make it a number, for instance with .dt.total_seconds()",
    "List": "give every element a column of its own",
    "Array": "give every element a column of its own",
    "Struct": "unnest it into columns",
    "Binary": "keep bytes as an artifact of a run",
    "Object": "make it numbers, text or instants",
}
_ARTICLE = {"integer": "an integer", "instant": "an instant"}


class Converted(msgspec.Struct, frozen=True):
    """A frame in stored form, the kinds of its columns, and where it could not be brought there."""

    frame: "pl.DataFrame"
    kinds: tuple[Kind, ...]
    violations: tuple[Violation, ...]


def canonical(frame: "pl.DataFrame", contract: Contract | None) -> Converted:
    """The frame in stored form, in the contract's columns and order where there is one.

    Raises `Invalid` for a column of a type that is not stored, with a remedy, and for one that holds nulls only while
    no contract says what it is.
    """
    import polars as pl

    names = [field.name for field in contract.fields] if contract else frame.columns
    violations = list(_columns_differ(frame, contract)) if contract else []
    series: list[pl.Series] = []
    kinds: list[Kind] = []
    for name in names:
        if name not in frame.columns:
            continue
        column = frame.get_column(name)
        kind = contract.field(name).kind if contract else _natural(column)
        stored, violation = _convert(column, kind)
        series.append(stored)
        kinds.append(kind)
        if violation is not None:
            violations.append(violation)
    return Converted(pl.DataFrame(series), tuple(kinds), tuple(violations))


def kind_of(series: "pl.Series") -> Kind | None:
    """The kind of a column by its type, None where it holds nulls only. Raises `Invalid` for a type not stored."""
    import polars as pl

    dtype = series.dtype
    if dtype == pl.Null:
        return None
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            raise Invalid(
                f"column {series.name!r} holds datetimes without a time zone: say which, for instance with "
                f"pl.col({series.name!r}).dt.replace_time_zone('UTC')",
                field=series.name,
            )
        return "instant"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    if dtype == pl.Date:
        return "date"
    base = str(dtype.base_type())
    if base in ("String", "Categorical", "Enum"):
        return "text"
    raise Invalid(
        f"column {series.name!r} has the type {dtype}, which is not stored: {_REMEDIES.get(base, 'drop it')}",
        field=series.name,
    )


def broken(series: "pl.Series", mask: "pl.Series", message: str) -> Violation:
    """The violation of kind in the rows that the mask marks."""
    rows = mask.arg_true()
    shown = tuple(rows.head(SHOWN_ROWS).to_list())
    return Violation(column=series.name, rule="kind", message=message, rows=shown, count=len(rows))


def with_article(kind: Kind) -> str:
    """The kind as a sentence names it."""
    return _ARTICLE.get(kind, f"a {kind}" if kind != "text" else "text")


def _natural(series: "pl.Series") -> Kind:
    kind = kind_of(series)
    if kind is None or series.null_count() == len(series):
        raise Invalid(
            f"column {series.name!r} holds nulls only, so nothing can be learnt of it: drop it, or give a contract",
            field=series.name,
        )
    return kind


def _columns_differ(frame: "pl.DataFrame", contract: Contract) -> Iterable[Violation]:
    known = {field.name for field in contract.fields}
    for field in contract.fields:
        if field.name not in frame.columns:
            yield Violation(column=field.name, rule="missing", message="the column is missing")
    for name in frame.columns:
        if name not in known:
            yield Violation(column=name, rule="added", message="the contract knows no such column")


def _convert(series: "pl.Series", kind: Kind) -> tuple["pl.Series", Violation | None]:
    import polars as pl

    natural = kind_of(series)
    if natural is None:
        return series.cast(_stored_type(kind)), None
    if natural == "integer" and kind in ("integer", "number"):
        return _from_integer(series, kind)
    if natural == "number" and kind == "number":
        return _one_nan(series.cast(pl.Float64)), None
    if natural == "number" and kind == "integer":
        return _from_whole_numbers(series)
    if natural == "instant" and kind == "instant":
        return _from_instant(series)
    if natural == kind or (natural == "text" and kind == "category"):
        return series.cast(_stored_type(kind)), None
    message = f"expected {with_article(kind)}, the column is {with_article(natural)} ({series.dtype})"
    return series, broken(series, series.is_not_null(), message)


def _stored_type(kind: Kind) -> "pl.DataType":
    import polars as pl

    types: dict[Kind, pl.DataType] = {
        "number": pl.Float64(),
        "integer": pl.Int64(),
        "boolean": pl.Boolean(),
        "text": pl.String(),
        "category": pl.String(),
        "instant": pl.Datetime("us", "UTC"),
        "date": pl.Date(),
    }
    return types[kind]


def _from_integer(series: "pl.Series", kind: Kind) -> tuple["pl.Series", Violation | None]:
    import polars as pl

    whole = series.cast(pl.Int64, strict=False)
    lost = whole.is_null() & series.is_not_null()
    if lost.any():
        return whole, broken(series, lost, "the integer needs more than 64 bits with a sign")
    if kind == "integer":
        return whole, None
    inexact = ((whole > 2**53) | (whole < -(2**53))).fill_null(False)
    if inexact.any():
        return whole, broken(series, inexact, "the integer is not exact as a number (beyond 2^53)")
    return whole.cast(pl.Float64), None


def _from_whole_numbers(series: "pl.Series") -> tuple["pl.Series", Violation | None]:
    """pandas turns integers with nulls into floats: they come back where nothing is lost."""
    import polars as pl

    numbers = series.cast(pl.Float64).fill_nan(None)
    lost = ((numbers != numbers.floor()) | (numbers.abs() > 2.0**53)).fill_null(False)
    if lost.any():
        return series, broken(series, lost, "expected an integer, the value has a fraction or is beyond 2^53")
    return numbers.cast(pl.Int64), None


def _from_instant(series: "pl.Series") -> tuple["pl.Series", Violation | None]:
    import polars as pl

    instants = series.dt.convert_time_zone("UTC")
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_unit == "ns":
        finer = (instants.to_physical() % 1000 != 0).fill_null(False)
        if finer.any():
            return series, broken(series, finer, "the instant is finer than a microsecond: round it")
    return instants.dt.cast_time_unit("us"), None


def _one_nan(series: "pl.Series") -> "pl.Series":
    """A float's NaN may carry a sign and a payload: one is kept."""
    import polars as pl

    if not series.is_nan().any():
        return series
    value = pl.col(series.name)
    kept = pl.when(value.is_nan()).then(float("nan")).otherwise(value)
    return series.to_frame().select(kept.alias(series.name)).to_series()
