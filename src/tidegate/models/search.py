"""How models and versions are asked for: the words of a filter and of an order, and where a page ends.

The grammar is that of `tidegate.runs.search`: attributes and tags, AND, OR, NOT and parentheses.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from tidegate.kernel.errors import Invalid
from tidegate.kernel.pages import Page, page_size
from tidegate.models.records import Model, ModelVersion
from tidegate.runs.search.ast import Attribute, AttributeName, OrderKey, Tag, Term
from tidegate.runs.search.fields import Fields, Named, Section
from tidegate.runs.search.order import parse_order
from tidegate.runs.search.paging import Position, decode_position, encode_position
from tidegate.runs.search.parser import parse_filter

T = TypeVar("T")

_MOMENTS: Final[dict[str, AttributeName]] = {
    "creation_timestamp": "created_at",
    "last_updated_timestamp": "updated_at",
    "timestamp": "updated_at",
}
_MODEL: Final[tuple[AttributeName, ...]] = ("name", "owner", "note", "created_at", "updated_at")
_VERSION: Final[tuple[AttributeName, ...]] = ("name", "number", "stage", "run_id", "note", "created_at", "updated_at")

_MLFLOW: Final[dict[str, AttributeName]] = {"version_number": "number", "version": "number", **_MOMENTS}
"""Attributes by MLflow's names, where they are others; times are milliseconds since 1970."""

_BY_NAME: Final = (OrderKey(Attribute("name")),)
_NEWEST: Final = (
    OrderKey(Attribute("updated_at"), descending=True),
    OrderKey(Attribute("name")),
    OrderKey(Attribute("number"), descending=True),
)
"""What decides among equals, and alone where no order is asked for."""


def _fields(what: str, attributes: Sequence[AttributeName]) -> Fields:
    """Reads the fields of models, or of versions: these attributes, and tags."""

    def named(section: Section, function: str, name: str, spelt: str) -> Named:
        if not name or function:
            raise Invalid(f"{spelt} is no field of {what}: a name follows, as in tags.team")
        if section == "tags":
            return Named(Tag(name), spelt)
        if section != "attributes":
            raise Invalid(f"{what} have no {section}: there are attributes and tags")
        known = _MLFLOW.get(name, name)
        found = next((one for one in attributes if one == known), None)
        if found is None:
            raise Invalid(
                f"{what} have no attribute {name[:80]!r}: there are {', '.join(attributes)}, and in MLflow's words "
                f"{', '.join(word for word, one in _MLFLOW.items() if one in attributes)}; tags are written tags.team"
            )
        return Named(Attribute(found), spelt)

    return named


MODELS: Final = _fields("models", _MODEL)
VERSIONS: Final = _fields("versions", _VERSION)

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
    order = _with(parse_order(order_by, fields=MODELS), _BY_NAME)
    return _page(searches.models, parse_filter(filter, fields=MODELS), order, limit, cursor)


def search_versions(
    searches: ModelSearch, filter: str, order_by: Sequence[str], limit: int, cursor: str
) -> Page[ModelVersion]:
    """The page of versions after a cursor."""
    order = _with(parse_order(order_by, fields=VERSIONS), _NEWEST)
    return _page(searches.versions, parse_filter(filter, fields=VERSIONS), order, limit, cursor)


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
