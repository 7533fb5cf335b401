"""Searches over models and versions, each compiled to one SELECT."""

import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import sqlalchemy as sa

from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Invalid
from tidegate.models.records import Model, ModelVersion
from tidegate.models.registry_store import COUNT, SqlRegistry, models
from tidegate.models.search import Found
from tidegate.models.store import OF_MODEL, read_versions, tags, versions
from tidegate.runs.search.ast import (
    And,
    Attribute,
    Comparison,
    Field,
    Match,
    Membership,
    Not,
    Or,
    OrderKey,
    Presence,
    Tag,
    Term,
)
from tidegate.runs.search.fields import value_kind
from tidegate.runs.search.paging import Place, Position
from tidegate.storage.catalog import Catalog
from tidegate.storage.text import by_code_point, like, like_any_case

Clause = sa.ColumnElement[bool]
Column = sa.ColumnElement[Any]

_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Searched(Protocol):
    """What the fields of a search are in the catalog."""

    def column(self, field: Field) -> Column:
        """The column of an attribute. Raises `Invalid` for a field that nothing is ordered by."""
        ...

    def holds(self, field: Field, condition: Callable[[Column], Any]) -> Clause:
        """Whether the field is there, and the condition is met of it. Never null, so that NOT is its contrary."""
        ...


class _Named:
    """The fields of models, or of versions: columns by attribute, and tags under a number."""

    def __init__(self, columns: sa.ColumnCollection[str, Any], number: Column) -> None:
        self._columns = columns
        self._number = number

    def column(self, field: Field) -> Column:
        """The column of an attribute."""
        if isinstance(field, Attribute):
            column: Column = self._columns[field.name]
            return column
        raise Invalid("models and versions are ordered by attributes, such as name or created_at", field="order_by")

    def holds(self, field: Field, condition: Callable[[Column], Any]) -> Clause:
        """Whether the field is there, and the condition is met of it."""
        if isinstance(field, Tag):
            own = (tags.c.name == self._columns["name"], tags.c.number == self._number, tags.c.tag == field.name)
            return sa.exists(sa.select(tags.c.tag).where(*own, condition(tags.c.text)))
        column = self.column(field)
        return sa.and_(column.is_not(None), condition(column))


_MODELS: Final = _Named(models.c, sa.literal(OF_MODEL))
_VERSIONS: Final = _Named(versions.c, versions.c.number)


class SqlModelSearch:
    """Searches the catalog. See `ModelSearch` for the laws."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._registry = SqlRegistry(catalog)

    def models(self, where: Term, order: Sequence[OrderKey], after: Position | None, limit: int) -> Found[Model]:
        """Models after a position, each with its own."""
        found = self._registry.read(_query(sa.select(models, COUNT), _MODELS, where, order, after).limit(limit))
        return [(model, _position(model, order)) for model in found]

    def versions(
        self, where: Term, order: Sequence[OrderKey], after: Position | None, limit: int
    ) -> Found[ModelVersion]:
        """Versions after a position, each with its own."""
        query = _query(sa.select(versions), _VERSIONS, where, order, after).limit(limit)
        with self._catalog.connect() as connection:
            found = read_versions(connection, query)
        return [(version, _position(version, order)) for version in found]


def _query(
    query: sa.Select[Any], searched: Searched, where: Term, order: Sequence[OrderKey], after: Position | None
) -> sa.Select[Any]:
    keys = [(_sorted(searched, key), key.descending) for key in order]
    query = query.where(clause_of(where, searched))
    if after is not None:
        query = query.where(_after(keys, [place.value for place in after]))
    return query.order_by(*(column.desc() if descending else column.asc() for column, descending in keys))


def clause_of(term: Term, searched: Searched) -> Clause:
    """Whether a filter is true."""
    match term:
        case And(terms):
            return sa.and_(sa.true(), *(clause_of(one, searched) for one in terms))
        case Or(terms):
            return sa.or_(sa.false(), *(clause_of(one, searched) for one in terms))
        case Not(one):
            return sa.not_(clause_of(one, searched))
        case Presence(field, present):
            found = searched.holds(field, lambda column: column.is_not(None))
            return found if present else sa.not_(found)
        case Comparison(field, sign, value):
            return searched.holds(field, lambda column: _COMPARE[sign](column, value))
        case Match(field, pattern, ignore_case):
            kind = like_any_case if ignore_case else like
            return searched.holds(field, lambda column: kind(column, pattern))
        case Membership(field, values, negated):
            return searched.holds(field, lambda column: column.not_in(values) if negated else column.in_(values))


def _sorted(searched: Searched, key: OrderKey) -> Column:
    column = searched.column(key.field)
    if value_kind(key.field) != "text":
        return column
    return by_code_point(sa.func.coalesce(column, ""))


def _after(keys: Sequence[tuple[Column, bool]], values: Sequence[Any]) -> Clause:
    """Whether a row comes after a position: behind it in one key, and at it in all before that one."""
    clause: Clause = sa.false()
    for (column, descending), value in reversed(list(zip(keys, values, strict=True))):
        clause = sa.or_(column < value if descending else column > value, sa.and_(column == value, clause))
    return clause


def _position(found: Model | ModelVersion, order: Sequence[OrderKey]) -> Position:
    return tuple(Place(0, _value(found, getattr(key.field, "name", ""))) for key in order)


def _value(found: Model | ModelVersion, name: str) -> Any:
    value = getattr(found, name)
    return "" if value is None else to_micros(value) if isinstance(value, datetime) else value
