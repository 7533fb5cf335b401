"""Searches over models and versions, each compiled to one SELECT."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Invalid
from tidegate.models.records import Model, ModelVersion
from tidegate.models.registry_store import COUNT, SqlRegistry, models
from tidegate.models.search import Found
from tidegate.models.store import OF_MODEL, read_versions, tags, versions
from tidegate.runs.search.ast import Attribute, Field, OrderKey, Term
from tidegate.runs.search.fields import value_kind
from tidegate.runs.search.paging import Place, Position
from tidegate.runs.search_clauses import Clause, Column, Key, clause, in_order
from tidegate.storage.catalog import Catalog


class _Named:
    """The fields of models, or of versions: columns by attribute, and tags under a number. See `Fields`."""

    def __init__(self, columns: sa.ColumnCollection[str, Any], number: Column) -> None:
        self._columns = columns
        self._number = number

    def column(self, field: Field) -> Column:
        """The column of an attribute, or of a tag's text."""
        column: Column = self._columns[field.name] if isinstance(field, Attribute) else tags.c.text
        return column

    def holds(self, field: Field, condition: Clause | None) -> Clause:
        """Whether the field is there, and the condition is met there."""
        met = [] if condition is None else [condition]
        if isinstance(field, Attribute):
            return sa.and_(self.column(field).is_not(None), *met)
        own = (tags.c.name == self._columns["name"], tags.c.number == self._number)
        return sa.exists(sa.select(tags.c.tag).where(*own, tags.c.tag == getattr(field, "name", ""), *met))

    def equals(self, _field: Field, _value: str) -> Clause | None:
        """No quicker way."""
        return None

    def key(self, number: int, key: OrderKey) -> Key:
        """A key of an order. Raises `Invalid` for a tag."""
        if not isinstance(key.field, Attribute):
            raise Invalid("models and versions are ordered by attributes, such as name or created_at", field="order_by")
        column = self.column(key.field)
        return Key(number, key, sa.func.coalesce(column, "") if value_kind(key.field) == "text" else column)


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
    query: sa.Select[Any], fields: _Named, where: Term, order: Sequence[OrderKey], after: Position | None
) -> sa.Select[Any]:
    keys = [fields.key(number, key) for number, key in enumerate(order)]
    return in_order(query.where(clause(where, fields)), keys, after)


def _position(found: Model | ModelVersion, order: Sequence[OrderKey]) -> Position:
    return tuple(Place(0, _value(found, getattr(key.field, "name", ""))) for key in order)


def _value(found: Model | ModelVersion, name: str) -> Any:
    value = getattr(found, name)
    return "" if value is None else to_micros(value) if isinstance(value, datetime) else value
