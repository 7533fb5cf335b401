"""How a contract is learnt from the first commit, and how a broken one is told: pure functions, no frame, no storage.

The rules of inference, whose results are data that anyone may read and change:

- **Null** is allowed where the data holds one (NaN counts as null), up to twice the share seen plus 5 points.
- **Range** of a number with at least 100 values: the extremes seen, widened by the span on either side. Where the
  extreme hundredth of the values covers more than half of the span, that side is widened by three spans.
  A column that was never negative stays so, and, unless heavy-tailed, is widened to at most 1.6 times its
  greatest value: just below 1.609, kilometres in a mile, the smallest ratio between units that are often confused.
  (Mirrored for a column that was never positive.) Integers that are all different are identifiers: no range.
- **Categories**: text with at most 50 distinct values, each there ten times on the average.
- **Order**: by the first instant or date without nulls by which 20 rows or more are sorted.

Data always keeps the contract that was learnt from it.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import blake3
import msgspec

from tidegate.data.records import Contract, Field, Kind, Manifest, ManifestColumn, Violation
from tidegate.kernel.errors import Invalid
from tidegate.kernel.objects import parse_digest

SHOWN_ROWS: Final = 10
"""How many offending rows a rule names."""

ROWS_FOR_SHARE: Final = 100
"""A share of nulls is judged from this many rows on."""

_VALUES_FOR_RANGE = 100
_ROWS_FOR_ORDER = 20
_MOST_CATEGORIES = 50
_ROWS_A_CATEGORY = 10
_SAFE_RATIO = 1.6
_STORED = {"category": "text"}


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What inference needs to know of one column. Extremes and quantiles leave null and NaN out."""

    name: str
    kind: Kind
    rows: int
    nulls: int = 0
    minimum: float | None = None
    maximum: float | None = None
    low: float | None = None
    """The hundredth of the values lies below."""
    high: float | None = None
    """The hundredth of the values lies above."""
    all_different: bool = False
    distinct: tuple[str, ...] | None = None
    """The sorted values of a text, None where there are too many."""
    ascending: bool = False


def infer_contract(summaries: Sequence[Summary]) -> Contract:
    """The contract that a first commit teaches."""
    by = next((one.name for one in summaries if _orders(one)), None)
    return Contract(fields=tuple(infer_field(one) for one in summaries), sorted_by=by)


def infer_field(seen: Summary) -> Field:
    """What one column teaches."""
    share = min(1.0, 2.0 * seen.nulls / seen.rows + 0.05)
    nulls: dict[str, Any] = {"nullable": True, "share_null": round(share, 4)} if seen.nulls else {}
    if _is_category(seen):
        return Field(name=seen.name, kind="category", categories=seen.distinct or (), **nulls)
    low, high = learn_range(seen)
    return Field(name=seen.name, kind=seen.kind, minimum=low, maximum=high, **nulls)


def learn_range(seen: Summary) -> tuple[float | None, float | None]:
    """The range that a column teaches, None on a side that nothing bounds."""
    least, greatest = seen.minimum, seen.maximum
    identifier = seen.kind == "integer" and seen.all_different
    if least is None or greatest is None or identifier or seen.rows - seen.nulls < _VALUES_FOR_RANGE:
        return None, None
    span = greatest - least or abs(greatest) or 1.0
    heavy_low = seen.low is not None and seen.low - least > span / 2
    heavy_high = seen.high is not None and greatest - seen.high > span / 2
    low = least - span * (3 if heavy_low else 1)
    high = greatest + span * (3 if heavy_high else 1)
    if least >= 0:
        low = max(0.0, low)
        high = high if heavy_high or not greatest else min(high, greatest * _SAFE_RATIO)
    elif greatest <= 0:
        high = min(0.0, high)
        low = low if heavy_low else max(low, least * _SAFE_RATIO)
    low, high = min(least, _short(low)), max(greatest, _short(high))
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)


def stored_columns(contract: Contract) -> tuple[ManifestColumn, ...]:
    """The columns of a contract as a manifest names them."""
    return tuple(
        msgspec.convert({"name": field.name, "stored": _STORED.get(field.kind, field.kind)}, ManifestColumn)
        for field in contract.fields
    )


def canonical_bytes(record: Manifest | Contract) -> bytes:
    """The one JSON text of a record; its BLAKE3 digest is the record's name."""
    return msgspec.json.encode(record, order="sorted")


def digest_of(record: Manifest | Contract) -> str:
    """The BLAKE3 digest of the canonical JSON, as 64 hex digits."""
    return blake3.blake3(canonical_bytes(record)).hexdigest()


def check_manifest(manifest: Manifest, contract: Contract) -> None:
    """Raises `Invalid` for a manifest that is empty, or of other columns than the contract."""
    if not manifest.fragments:
        raise Invalid("the manifest names no fragment: a version holds at least one row")
    for fragment in manifest.fragments:
        parse_digest(fragment.digest, "fragment")
        if fragment.rows < 1 or fragment.bytes < 1:
            raise Invalid(f"fragment {fragment.digest} of the manifest is empty")
    if manifest.columns != stored_columns(contract):
        raise Invalid("the manifest has other columns than the contract: both come from the same frame")


def refusal(name: str, violations: Sequence[Violation], revision: int) -> Invalid:
    """The error that says which rules data broke, in which rows, and what to do."""
    told = "\n".join(f"- {one.column}: {one.message}{_rows(one)}" for one in violations)
    which = f"revision {revision} of its contract" if revision else "its contract"
    return Invalid(
        f"{name} was not committed, nothing was changed: the data breaks {which}.\n{told}\n"
        "Rows count from 0. Correct the data; or, where it is right, change the contract with "
        f"data.set_contract({name!r}, …) or commit(…, contract=…).",
        violations=[msgspec.to_builtins(one) for one in violations],
    )


def _short(bound: float) -> float:
    """Six digits: a bound is read by people."""
    return float(f"{bound:.6g}")


def _rows(violation: Violation) -> str:
    if not violation.rows:
        return ""
    more = violation.count - len(violation.rows)
    rows = ", ".join(map(str, violation.rows))
    return f" ({'row' if violation.count == 1 else 'rows'} {rows}{f' and {more:,} more' if more > 0 else ''})"


def _is_category(seen: Summary) -> bool:
    if seen.kind != "text" or not seen.distinct or len(seen.distinct) > _MOST_CATEGORIES:
        return False
    return seen.rows - seen.nulls >= _ROWS_A_CATEGORY * len(seen.distinct)


def _orders(seen: Summary) -> bool:
    return seen.kind in ("instant", "date") and seen.ascending and not seen.nulls and seen.rows >= _ROWS_FOR_ORDER
