"""How models and versions are asked for: the words of a filter and of an order, and where a page ends.

The grammar is that of `tidegate.runs.search`: attributes and tags, AND, OR, NOT and parentheses.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.kernel.pages import Page, page_size
from tidegate.models.records import Model, ModelVersion
from tidegate.runs.search.ast import Attribute, AttributeName, OrderKey, Tag, Term
from tidegate.runs.search.fields import Fields, Named, Section, named
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
_VERSION: Final[tuple[AttributeName, ...]] = (
    "name", "number", "stage", "run_id", "draft_id", "note", "created_at", "updated_at"
)  # fmt: skip

_DRAFT: Final[tuple[AttributeName, ...]] = (
    "id", "name", "experiment_id", "run_id", "kind", "status", "created_at", "updated_at"
)  # fmt: skip

_MLFLOW: Final[dict[str, AttributeName]] = {
    "version_number": "number",
    "version": "number",
    "model_id": "id",
    "model_name": "name",
    "model_type": "kind",
    "source_run_id": "run_id",
    **_MOMENTS,
}
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

    def of(section: Section, function: str, name: str, spelt: str) -> Named:
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

    return of


def _of_drafts(section: Section, function: str, name: str, spelt: str) -> Named:
    if section == "attributes":
        return _draft_attribute(section, function, name, spelt)
    if function or section == "datasets":
        raise Invalid(f"{spelt} is no field of drafts: there are attributes, params, tags and metrics")
    return named(section, function, name, spelt)


MODELS: Final = _fields("models", _MODEL)
VERSIONS: Final = _fields("versions", _VERSION)
_draft_attribute: Final = _fields("drafts", _DRAFT)
DRAFTS: Final = _of_drafts

_LATEST: Final = (OrderKey(Attribute("created_at"), descending=True), OrderKey(Attribute("id"), descending=True))

Found = Sequence[tuple[T, Position]]


class DraftSearch(msgspec.Struct, frozen=True):
    """Which drafts are searched for, of which experiments, and in which order; the tie-break is among its keys.

    ``datasets`` are names and digests (empty: any) of those on which the metrics that count were measured.
    """

    where: Term
    experiments: tuple[str, ...]
    order: tuple[OrderKey, ...]
    datasets: tuple[tuple[str, str], ...] = ()


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


def draft_search(
    filter: str,
    experiments: Sequence[str],
    order_by: Sequence[str],
    datasets: Sequence[tuple[str, str]] = (),
) -> DraftSearch:
    """The search that texts describe."""
    order = _with(parse_order(order_by, fields=DRAFTS), _LATEST)
    return DraftSearch(parse_filter(filter, fields=DRAFTS), tuple(experiments), order, tuple(datasets))


def read_drafts(
    find: Callable[[DraftSearch, Position | None, int], Found[T]], search: DraftSearch, limit: int, cursor: str
) -> Page[T]:
    """The page of drafts after a cursor."""
    return _page(lambda _, order, after, most: find(search, after, most), search.where, search.order, limit, cursor)


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
