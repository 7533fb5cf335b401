"""Looks at the rows of a frame in stored form: what a contract can be learnt from, and where they break one."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from tidegate.data.records import Contract, Field, Kind, Rule, Violation
from tidegate.data.rules import ROWS_FOR_SHARE, SHOWN_ROWS, Summary

if TYPE_CHECKING:
    import polars as pl

_DISTINCT_LIMIT = 1000


def summarise(frame: "pl.DataFrame", kinds: Sequence[Kind]) -> list[Summary]:
    """What inference needs to know of every column."""
    return [_summarise(frame.get_column(name), kind) for name, kind in zip(frame.columns, kinds, strict=True)]


def violations(frame: "pl.DataFrame", contract: Contract) -> list[Violation]:
    """Where the rows break the contract: one pass over the frame, and a second over the columns at fault."""
    checks = [check for check in _checks(contract) if check.column in frame.columns]
    if not checks:
        return []
    counts = frame.select(check.mask.sum().alias(str(index)) for index, check in enumerate(checks)).row(0)
    found = []
    for check, count in zip(checks, counts, strict=True):
        if count and _counts(check, int(count), frame.height):
            found.append(_violation(frame, check, int(count)))
    return found


class _Check(msgspec.Struct, frozen=True):
    """An expression that marks offending rows."""

    column: str
    rule: Rule
    mask: "pl.Expr"
    promise: str
    share: float = 0.0


def _checks(contract: Contract) -> Iterator[_Check]:
    import polars as pl

    for field in contract.fields:
        yield from _field_checks(field)
    if contract.sorted_by is not None:
        column = pl.col(contract.sorted_by)
        earlier = (column < column.shift(1)).fill_null(False)
        yield _Check(contract.sorted_by, "order", earlier, "earlier than the row before; the contract says sorted")


def _field_checks(field: Field) -> Iterator[_Check]:
    import polars as pl

    column = pl.col(field.name)
    absent = column.is_null()
    if field.kind == "number":
        absent = absent | column.is_nan().fill_null(False)
    if not field.nullable:
        yield _Check(field.name, "null", absent, "null, which the contract does not allow")
    elif field.share_null < 1.0:
        yield _Check(field.name, "null share", absent, "null", field.share_null)
    if field.minimum is not None or field.maximum is not None:
        outside = pl.lit(False)
        if field.minimum is not None:
            outside = outside | (column < field.minimum)
        if field.maximum is not None:
            outside = outside | (column > field.maximum)
        yield _Check(field.name, "range", (outside & ~absent).fill_null(False), f"outside {_range(field)}")
    if field.kind == "category":
        unseen = (~column.is_in(list(field.categories))).fill_null(False)
        yield _Check(field.name, "category", unseen, f"none of the {len(field.categories)} known values")


def _counts(check: _Check, count: int, rows: int) -> bool:
    if check.rule != "null share":
        return True
    return rows >= ROWS_FOR_SHARE and count > check.share * rows


def _violation(frame: "pl.DataFrame", check: _Check, count: int) -> Violation:
    rows = frame.select(check.mask.arg_true().head(SHOWN_ROWS)).to_series()
    message = f"{count:,} of {frame.height:,} values {'is' if count == 1 else 'are'} {check.promise}"
    if check.rule == "null share":
        message += f"; the contract allows {check.share:.1%} of the rows"
    if check.rule in ("range", "category"):
        seen = frame.get_column(check.column).gather(rows).unique(maintain_order=True)
        message += f"; for instance {', '.join(_spell(value) for value in seen.head(3).to_list())}"
    return Violation(column=check.column, rule=check.rule, message=message, rows=tuple(rows.to_list()), count=count)


def _spell(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _range(field: Field) -> str:
    low = "-inf" if field.minimum is None else f"{field.minimum:.10g}"
    high = "inf" if field.maximum is None else f"{field.maximum:.10g}"
    return f"{low} to {high}"


def _summarise(series: "pl.Series", kind: Kind) -> Summary:
    import polars as pl

    present = series.drop_nulls()
    if series.dtype == pl.Float64:
        present = present.drop_nans()
    nulls = len(series) - len(present)
    summary = Summary(name=series.name, kind=kind, rows=len(series), nulls=nulls)
    if not len(present):
        return summary
    if kind in ("number", "integer"):
        return msgspec.structs.replace(summary, **_extremes(present, kind))
    if kind == "text":
        distinct = present.n_unique()
        values = tuple(sorted(present.unique().to_list())) if distinct <= _DISTINCT_LIMIT else None
        return msgspec.structs.replace(summary, distinct=values)
    if kind in ("instant", "date"):
        return msgspec.structs.replace(summary, ascending=present.is_sorted())
    return summary


def _extremes(present: "pl.Series", kind: Kind) -> dict[str, float | bool | None]:
    import polars as pl

    extremes = present.to_frame("value").select(
        minimum=pl.col("value").min().cast(pl.Float64),
        maximum=pl.col("value").max().cast(pl.Float64),
        low=pl.col("value").quantile(0.01).cast(pl.Float64),
        high=pl.col("value").quantile(0.99).cast(pl.Float64),
    )
    found: dict[str, float | bool | None] = extremes.row(0, named=True)
    if kind == "integer":
        found["all_different"] = present.n_unique() == len(present)
    return found
