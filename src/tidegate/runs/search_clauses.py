"""What a filter says, and where a position lies, as SQL; which columns the fields are, each search knows."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import sqlalchemy as sa

from tidegate.runs.search.ast import (
    And,
    Comparison,
    Field,
    Match,
    Membership,
    MetricValue,
    Not,
    Or,
    OrderKey,
    Presence,
    Term,
)
from tidegate.runs.search.fields import value_kind
from tidegate.runs.search.paging import Place, Position
from tidegate.storage.text import by_code_point, like, like_any_case

Clause = sa.ColumnElement[bool]
Column = sa.ColumnElement[Any]

PRESENT, NAN, LACKING = 0, 1, 2
"""How far something has a field: it has, with a value that is no number, or not."""

_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Fields(Protocol):
    """What the fields of a search are in the catalog."""

    def column(self, field: Field) -> Column:
        """The column that a condition is about."""
        ...

    def holds(self, field: Field, condition: Clause | None) -> Clause:
        """Whether the field is there, and the condition is met. Never null, so that NOT is its contrary."""
        ...

    def equals(self, field: Field, value: str) -> Clause | None:
        """Whether the field is a text, where there is a quicker way to ask than by its column."""
        ...


def clause(term: Term, fields: Fields) -> Clause:
    """Whether a filter is true."""
    match term:
        case And(terms):
            return sa.and_(sa.true(), *(clause(one, fields) for one in terms))
        case Or(terms):
            return sa.or_(sa.false(), *(clause(one, fields) for one in terms))
        case Not(one):
            return sa.not_(clause(one, fields))
        case Presence(field, present):
            found = fields.holds(field, None)
            return found if present else sa.not_(found)
        case Comparison(field, sign, value):
            return fields.holds(field, _compared(fields, field, sign, value))
        case Match(field, pattern, ignore_case):
            return fields.holds(field, (like_any_case if ignore_case else like)(fields.column(field), pattern))
        case Membership(field, values, negated):
            return fields.holds(field, _among(fields.column(field), field, values, negated))


class Key:
    """One key of an order: how far something has the field at all (its rank, where that may differ), and its value."""

    def __init__(self, number: int, key: OrderKey, value: Column, rank: Column | None = None) -> None:
        self._value = value
        self._sorted = by_code_point(value) if value_kind(key.field) == "text" else value
        self._descending = key.descending
        self._rank = rank
        self._labels = (f"rank_{number}", f"value_{number}")
        ranked = sa.literal(PRESENT) if rank is None else rank
        self.columns: tuple[Column, Column] = (ranked.label(self._labels[0]), value.label(self._labels[1]))

    @property
    def order(self) -> list[Column]:
        """What to sort by."""
        value = self._sorted.desc() if self._descending else self._sorted.asc()
        return [value] if self._rank is None else [self._rank, value]

    def place(self, row: sa.Row[Any]) -> Place:
        """Where a row stands that has `columns`."""
        return Place(*(row._mapping[label] for label in self._labels))

    def same(self, place: Place) -> Clause:
        """Whether something stands where this one does."""
        if place.rank != PRESENT and self._rank is not None:
            return clause_of(self._rank == place.rank)
        return clause_of(self._value == place.value)

    def beyond(self, place: Place) -> Clause:
        """Whether something stands behind this one."""
        if self._rank is None:
            return clause_of(self._sorted < place.value if self._descending else self._sorted > place.value)
        if place.rank != PRESENT:
            return clause_of(self._rank > place.rank)
        further = self._sorted < place.value if self._descending else self._sorted > place.value
        return sa.or_(self._rank > PRESENT, further)


def in_order(query: sa.Select[Any], keys: Sequence[Key], after: Position | None) -> sa.Select[Any]:
    """What is found, in the order of some keys, after a position: behind it in one, and at it in all before that."""
    if after is not None:
        found: Clause = sa.false()
        for key, place in reversed(list(zip(keys, after, strict=True))):
            found = sa.or_(key.beyond(place), sa.and_(key.same(place), found))
        query = query.where(found)
    return query.order_by(*(column for key in keys for column in key.order))


def clause_of(expression: Any) -> Clause:
    """An expression that is true or false."""
    found: Clause = expression
    return found


def _compared(fields: Fields, field: Field, sign: str, value: Any) -> Clause:
    column = fields.column(field)
    if isinstance(field, MetricValue) and sign == "!=":
        return sa.or_(column.is_(None), column != value)  # NaN differs from every number
    quick = fields.equals(field, value) if isinstance(value, str) and sign == "=" else None
    return clause_of(_COMPARE[sign](column, value)) if quick is None else quick


def _among(column: Column, field: Field, values: Sequence[Any], negated: bool) -> Clause:
    if not negated:
        return column.in_(values)
    differs = column.not_in(values)
    return sa.or_(column.is_(None), differs) if isinstance(field, MetricValue) else differs
