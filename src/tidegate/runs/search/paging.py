"""What a search asks of a store, and where a page of it ends: the position of its last run, spelt as a cursor."""

import hashlib
import math
from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.runs.records import Run
from tidegate.runs.search.ast import Operand, OrderKey, Term
from tidegate.runs.search.fields import value_kind
from tidegate.runs.search.projection import Projection

_KINDS: Final[dict[str, type]] = {"number": float, "instant": int, "text": str}


MOST_FOUND: Final = 50_000
"""Of a page: whoever reads thousands of runs reads them in one go."""

State = Literal["active", "deleted", "all"]
"""A run is deleted when it, or its experiment, was."""


class Place(msgspec.Struct, frozen=True):
    """A run's place in one key: 0 with its value, 1 for NaN, 2 where it lacks the field."""

    rank: int
    value: Operand | None


Position = tuple[Place, ...]
"""A run's places in every key of an order."""


class Search(msgspec.Struct, frozen=True):
    """Which runs are searched for, and in which order; the tie-break is among its keys."""

    where: Term
    experiments: tuple[str, ...] = ()
    """Ids; without any, all."""
    state: State = "active"
    order: tuple[OrderKey, ...] = ()


class RunSearch(Protocol):
    """Runs by what they hold.

    Laws: (1) a run is found exactly where its filter is true of it; (2) whoever pages through sees each run that was
    there from the beginning, and still is as it was, exactly once, whatever is added meanwhile; (3) parts that are
    not asked for are not read.
    """

    def page(
        self, search: Search, projection: Projection, after: Position | None, limit: int
    ) -> tuple[list[Run], Position | None]:
        """Runs after a position, so many at most, and the position of the last one where more come after it."""
        ...

    def count(self, search: Search) -> int:
        """How many there are."""
        ...


def read_page(searches: RunSearch, search: Search, projection: Projection, limit: int, cursor: str) -> Page[Run]:
    """The page after a cursor. Raises `Invalid` for a cursor of another order, or a limit outside 1 to 50,000."""
    after = decode_position(search.order, cursor)
    found, last = searches.page(search, projection, after, page_size(limit, MOST_FOUND))
    return Page(found, None if last is None else encode_position(search.order, last))


def encode_position(order: Sequence[OrderKey], position: Position) -> str:
    """The cursor for what comes after a position."""
    parts: list[object] = []
    for key, place in zip(order, position, strict=True):
        kind = _KINDS[value_kind(key.field)]
        parts += [place.rank, kind() if place.value is None else kind(place.value)]
    return encode_cursor(_mark(order), *parts)


def decode_position(order: Sequence[OrderKey], cursor: str) -> Position | None:
    """The position in a cursor, None for the empty one. Raises `Invalid` when it is one of another order."""
    kinds = [kind for key in order for kind in (int, _KINDS[value_kind(key.field)])]
    found = decode_cursor(cursor, (str, *kinds))
    if found is None:
        return None
    mark, *parts = found
    places = tuple(Place(rank, value) for rank, value in zip(parts[::2], parts[1::2], strict=True))
    if mark != _mark(order) or not all(0 <= place.rank <= 2 and _is_kept(place.value) for place in places):
        raise Invalid("the cursor belongs to another order; start again without it", field="cursor")
    return places


def _mark(order: Sequence[OrderKey]) -> str:
    return hashlib.blake2s(msgspec.msgpack.encode(tuple(order)), digest_size=6).hexdigest()


def _is_kept(value: object) -> bool:
    if isinstance(value, float):
        return not math.isnan(value)
    return not isinstance(value, str) or "\0" not in value
