"""The order of what is found: clauses such as ``metrics.auc DESC``, one a key."""

from collections.abc import Sequence
from typing import Final, cast

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.runs.search.ast import Attribute, Dataset, MetricValue, OrderKey
from tidegate.runs.search.fields import Fields, named
from tidegate.runs.search.parser import Reader
from tidegate.runs.search.tokens import wrong

MOST_KEYS: Final = 8

TIE_BREAK: Final = (OrderKey(Attribute("started_at"), descending=True), OrderKey(Attribute("id")))
"""What decides among equals, and alone where no order is asked for: the newest first, then the id."""


def parse_order(clauses: Sequence[str], *, strict_mlflow: bool = False, fields: Fields = named) -> tuple[OrderKey, ...]:
    """The keys of an order, without the tie-break. Raises `Invalid`, which says where in which clause.

    ``metrics.best(loss)`` is the least when ascending and the greatest when descending.
    """
    if len(clauses) > MOST_KEYS:
        raise Invalid(f"an order has at most {MOST_KEYS} keys, not {len(clauses)}", field="order_by")
    return tuple(
        _key(Reader(clause, f"order_by[{place}]", strict_mlflow, fields), f"order_by[{place}]")
        for place, clause in enumerate(clauses)
    )


def _key(reader: Reader, what: str) -> OrderKey:
    found = reader.field()
    descending = reader.take_word("ASC", "DESC") == "DESC"
    if not reader.ended():
        raise reader.unexpected("ASC, DESC or the end (a second key is a second text)")
    field = found.field
    if isinstance(field, Dataset):
        raise wrong(what, 1, "a run may have several datasets: runs cannot be ordered by them")
    if found.best:
        field = msgspec.structs.replace(cast("MetricValue", field), aggregate="max" if descending else "min")
    return OrderKey(field, descending)
