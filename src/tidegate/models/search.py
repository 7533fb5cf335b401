"""How models and versions are asked for: the words of a filter and of an order, and where a page ends.

The grammar is that of `tidegate.runs.search`: attributes and tags, AND, OR, NOT and parentheses.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from tidegate.kernel.pages import Page, page_size
from tidegate.models.records import Model, ModelVersion
from tidegate.runs.search.ast import Attribute, AttributeName, OrderKey, Term
from tidegate.runs.search.fields import Section, Vocabulary
from tidegate.runs.search.order import parse_order
from tidegate.runs.search.paging import Position, decode_position, encode_position
from tidegate.runs.search.parser import parse_filter

T = TypeVar("T")

_SECTIONS: Final[dict[str, Section]] = {
    **dict.fromkeys(("tags", "tag"), "tags"),
    **dict.fromkeys(("attributes", "attribute", "attr"), "attributes"),
}
_MOMENTS: Final[dict[str, AttributeName]] = {
    "creation_timestamp": "created_at",
    "last_updated_timestamp": "updated_at",
    "timestamp": "updated_at",
}
_MODEL: Final[tuple[AttributeName, ...]] = ("name", "owner", "note", "created_at", "updated_at")
_VERSION: Final[tuple[AttributeName, ...]] = ("name", "number", "stage", "run_id", "note", "created_at", "updated_at")

MODELS: Final = Vocabulary("models", _SECTIONS, {name: name for name in _MODEL}, {"name": "name", **_MOMENTS})
VERSIONS: Final = Vocabulary(
    "versions",
    _SECTIONS,
    {name: name for name in _VERSION},
    {"name": "name", "run_id": "run_id", "version_number": "number", "version": "number", **_MOMENTS},
)

_BY_NAME: Final = (OrderKey(Attribute("name")),)
_NEWEST: Final = (
    OrderKey(Attribute("updated_at"), descending=True),
    OrderKey(Attribute("name")),
    OrderKey(Attribute("number"), descending=True),
)
"""What decides among equals, and alone where no order is asked for."""

Found = Sequence[tuple[T, Position]]


class ModelSearch(Protocol):
    """Models and versions by what they hold.

    Laws: (1) one is found exactly where the filter is true of it; (2) whoever pages through sees each one that was
    there from the beginning, and still is as it was, exactly once.
    """

    def models(self, where: Term, order: Sequence[OrderKey], after: Position | None, limit: int) -> Found[Model]:
        """Models after a position, each with its own."""
        ...

    def versions(
        self, where: Term, order: Sequence[OrderKey], after: Position | None, limit: int
    ) -> Found[ModelVersion]:
        """Versions after a position, each with its own."""
        ...


def search_models(searches: ModelSearch, filter: str, order_by: Sequence[str], limit: int, cursor: str) -> Page[Model]:
    """The page of models after a cursor."""
    order = _with(parse_order(order_by, vocabulary=MODELS), _BY_NAME)
    return _page(searches.models, parse_filter(filter, vocabulary=MODELS), order, limit, cursor)


def search_versions(
    searches: ModelSearch, filter: str, order_by: Sequence[str], limit: int, cursor: str
) -> Page[ModelVersion]:
    """The page of versions after a cursor."""
    order = _with(parse_order(order_by, vocabulary=VERSIONS), _NEWEST)
    return _page(searches.versions, parse_filter(filter, vocabulary=VERSIONS), order, limit, cursor)


def _page(
    find: Callable[[Term, Sequence[OrderKey], Position | None, int], Found[T]],
    where: Term,
    order: Sequence[OrderKey],
    limit: int,
    cursor: str,
) -> Page[T]:
    found = find(where, order, decode_position(order, cursor), page_size(limit) + 1)
    more = encode_position(order, found[limit - 1][1]) if len(found) > limit else None
    return Page([one for one, _ in found[:limit]], more)


def _with(order: tuple[OrderKey, ...], rest: tuple[OrderKey, ...]) -> tuple[OrderKey, ...]:
    """The order, and what decides among equals; a field that is there already decides nothing twice."""
    named = {key.field for key in order}
    return (*order, *(key for key in rest if key.field not in named))
