"""Searches over models and versions, each compiled to one SELECT."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

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


class _Searched(NamedTuple):
    """What is searched: its columns by attribute, and the number under which its tags are kept."""

    columns: Mapping[str, Column]
    number: Column


_MODELS: Final = _Searched({column.name: column for column in models.c}, sa.literal(OF_MODEL))
_VERSIONS: Final = _Searched({column.name: column for column in versions.c}, versions.c.number)


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
    query: sa.Select[Any], searched: _Searched, where: Term, order: Sequence[OrderKey], after: Position | None
) -> sa.Select[Any]:
    keys = [(_sorted(searched, key), key.descending) for key in order]
    query = query.where(_clause(where, searched))
    if after is not None:
        query = query.where(_after(keys, [place.value for place in after]))
    return query.order_by(*(column.desc() if descending else column.asc() for column, descending in keys))


def _clause(term: Term, searched: _Searched) -> Clause:
    match term:
        case And(terms):
            return sa.and_(sa.true(), *(_clause(one, searched) for one in terms))
        case Or(terms):
            return sa.or_(sa.false(), *(_clause(one, searched) for one in terms))
        case Not(one):
            return sa.not_(_clause(one, searched))
        case Presence(field, present):
            found = _holds(searched, field, lambda column: column.is_not(None))
            return found if present else sa.not_(found)
        case Comparison(field, sign, value):
            return _holds(searched, field, lambda column: _COMPARE[sign](column, value))
        case Match(field, pattern, ignore_case):
            kind = like_any_case if ignore_case else like
            return _holds(searched, field, lambda column: kind(column, pattern))
        case Membership(field, values, negated):
            return _holds(searched, field, lambda column: column.not_in(values) if negated else column.in_(values))


def _holds(searched: _Searched, field: Field, condition: Callable[[Column], Any]) -> Clause:
    """Whether the field is there, and the condition is met of it. Never null, so that NOT is its contrary."""
    if isinstance(field, Tag):
        own = (tags.c.name == searched.columns["name"], tags.c.number == searched.number, tags.c.tag == field.name)
        return sa.exists(sa.select(tags.c.tag).where(*own, condition(tags.c.text)))
    column = _column(searched, field)
    return sa.and_(column.is_not(None), condition(column))


def _column(searched: _Searched, field: Field) -> Column:
    if isinstance(field, Attribute):
        return searched.columns[field.name]
    raise Invalid(
        f"models and versions have attributes and tags, and no {type(field).__name__.lower()}", field="filter"
    )


def _sorted(searched: _Searched, key: OrderKey) -> Column:
    if isinstance(key.field, Tag):
        raise Invalid("models and versions are ordered by attributes, such as name or created_at", field="order_by")
    column = _column(searched, key.field)
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
