"""What a filter says, as SQL; which columns its fields are, a search of runs or of experiments knows."""

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
    Presence,
    Term,
)
from tidegate.runs.search.paging import Place
from tidegate.storage.text import like, like_any_case

Clause = sa.ColumnElement[bool]

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

    def column(self, field: Field) -> sa.ColumnElement[Any]:
        """The column of a field."""
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


class Key(Protocol):
    """One key of an order."""

    def same(self, place: Place) -> Clause:
        """Whether something stands where this one does."""
        ...

    def beyond(self, place: Place) -> Clause:
        """Whether something stands behind this one."""
        ...


def after(keys: Sequence[Key], position: Sequence[Place]) -> Clause:
    """Whether something comes after a position: behind it in one key, and at it in all before that one."""
    found: Clause = sa.false()
    for key, place in reversed(list(zip(keys, position, strict=True))):
        found = sa.or_(key.beyond(place), sa.and_(key.same(place), found))
    return found


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


def _among(column: sa.ColumnElement[Any], field: Field, values: Sequence[Any], negated: bool) -> Clause:
    if not negated:
        return column.in_(values)
    differs = column.not_in(values)
    return sa.or_(column.is_(None), differs) if isinstance(field, MetricValue) else differs
