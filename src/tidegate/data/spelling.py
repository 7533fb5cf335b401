"""Gives the text columns of a CSV file the types that their spelling shows, or that the contract asks for.

Numbers with leading zeros are text, since they are names. An instant carries its zone: ``2013-01-01T05:15:00Z``.
Where a column is not text, ``NA``, ``N/A``, ``null`` and the empty text are null.
"""

import re
from typing import TYPE_CHECKING, Final

import msgspec

from tidegate.data.canonical import broken, with_article
from tidegate.data.records import Contract, Kind, Violation
from tidegate.data.rules import SHOWN_ROWS
from tidegate.kernel.errors import Invalid

if TYPE_CHECKING:
    import polars as pl

_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?"
_SPELLINGS: Final[dict[Kind, str]] = {
    "boolean": r"^(?i:true|false)$",
    "integer": r"^[+-]?(0|[1-9]\d*)$",
    "number": r"^[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?$|^(?i:nan|[+-]?inf)$",
    "instant": rf"^{_DAY}[T ]\d\d:\d\d:\d\d(\.\d{{1,6}})?(Z|[+-]\d\d:?\d\d)$",
    "date": rf"^{_DAY}$",
}
_NAIVE = rf"^{_DAY}[T ]{_CLOCK}$"
_NOTHING = ("", "NA", "N/A", "null")
_MOST_STRAYS = 0.01
"""A first file in which at most this share of a column is spelt unlike all the rest is taken for damaged."""

_SAMPLE = 1000
"""A kind that fits fewer than half of the first values is not tried on all of them."""


class Spelt(msgspec.Struct, frozen=True):
    """The typed frame, and the values that are not spelt as the contract asks."""

    frame: "pl.DataFrame"
    violations: tuple[Violation, ...]


def typed(frame: "pl.DataFrame", contract: Contract | None) -> Spelt:
    """The frame with types. Raises `Invalid` where a column without a contract is spelt in two ways."""
    import polars as pl

    wanted = {field.name: field.kind for field in contract.fields} if contract else {}
    columns: list[pl.Series] = []
    violations: list[Violation] = []
    for series in frame.get_columns():
        kind = wanted.get(series.name) or _spelt_kind(series)
        column, violation = _parse(series, kind)
        columns.append(column)
        if violation is not None:
            violations.append(violation)
    return Spelt(pl.DataFrame(columns), tuple(violations))


def _spelt_kind(series: "pl.Series") -> Kind:
    values = _without_nothing(series).drop_nulls()
    if not len(values):
        return "text"
    _refuse_naive(series)
    for kind, spelling in _SPELLINGS.items():
        if values.head(_SAMPLE).str.contains(spelling).sum() < min(len(values), _SAMPLE) / 2:
            continue
        fits = int(values.str.contains(spelling).sum())
        if fits == len(values):
            return kind
        if kind != "integer" and len(values) - fits <= len(values) * _MOST_STRAYS:
            raise _strays(series, kind)
    return "text"


def _refuse_naive(series: "pl.Series") -> None:
    naive = series.str.contains(_NAIVE).fill_null(False)
    if naive.sum() > series.drop_nulls().len() / 2:
        row = int(naive.arg_true()[0])
        raise Invalid(
            f"column {series.name!r} holds datetimes without a time zone, as {series[row]!r} in row {row}: write "
            "them with one, as in 2013-01-01T05:15:00Z",
            field=series.name,
        )


def _strays(series: "pl.Series", kind: Kind) -> Invalid:
    values = _without_nothing(series)
    stray = (~values.str.contains(_SPELLINGS[kind])).fill_null(False)
    rows = stray.arg_true().head(SHOWN_ROWS).to_list()
    shown = ", ".join(f"{values[row]!r} in row {row}" for row in rows)
    return Invalid(
        f"column {series.name!r} reads as {with_article(kind)} but for {int(stray.sum())} of {len(values):,} values: "
        f"{shown} (rows count from 0). Correct them; or, if the column is text, commit a frame that says so",
        field=series.name,
        rows=rows,
    )


def _without_nothing(series: "pl.Series") -> "pl.Series":
    import polars as pl

    name = pl.col(series.name)
    kept = pl.when(name.is_in(_NOTHING)).then(None).otherwise(name)
    return series.to_frame().select(kept.alias(series.name)).to_series()


def _parse(series: "pl.Series", kind: Kind) -> tuple["pl.Series", Violation | None]:
    if kind in ("text", "category"):
        return series, None
    values = _without_nothing(series)
    fits = values.str.contains(_SPELLINGS["number" if kind == "integer" else kind])
    parsed = _cast(values.set(~fits.fill_null(True), None), kind).alias(series.name)
    wrong = parsed.is_null() & values.is_not_null()
    if not wrong.any():
        return parsed, None
    example = values[int(wrong.arg_true()[0])]
    hint = ", which has no time zone" if kind == "instant" and _is_naive(example) else ""
    return parsed, broken(series, wrong, f"expected {with_article(kind)}, found for instance {example!r}{hint}")


def _is_naive(text: str) -> bool:
    return re.match(_NAIVE, text) is not None


def _cast(values: "pl.Series", kind: Kind) -> "pl.Series":
    import polars as pl

    if kind == "boolean":
        return values.str.to_lowercase() == "true"
    if kind == "instant":
        iso = values.str.replace(" ", "T", literal=True)
        return iso.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    if kind == "date":
        return values.str.to_date("%Y-%m-%d", strict=False)
    if kind == "number":
        return values.cast(pl.Float64, strict=False)
    return _whole(values)


def _whole(values: "pl.Series") -> "pl.Series":
    """Integers, also as pandas writes those of a column with nulls: ``3.0``."""
    import polars as pl

    direct = values.cast(pl.Int64, strict=False)
    numbers = values.cast(pl.Float64, strict=False)
    exact = (numbers == numbers.floor()) & (numbers.abs() <= 2.0**53)
    return direct.zip_with(direct.is_not_null(), numbers.set(~exact.fill_null(False), None).cast(pl.Int64))
