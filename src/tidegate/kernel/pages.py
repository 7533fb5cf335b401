"""Lists come in pages, each with an opaque cursor to the next."""

import base64
import binascii
from typing import Any, Generic, TypeVar

import msgspec

from tidegate.kernel.errors import Invalid

T = TypeVar("T")

MAX_PAGE = 1000


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and the cursor for those after them (null on the last page)."""

    items: list[T]
    next: str | None = None


def encode_cursor(*key: object) -> str:
    """The cursor for the rows after this key."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(list(key))).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: tuple[type, ...]) -> tuple[Any, ...] | None:
    """The key inside a cursor, None for the empty one. Raises `Invalid` when it is not one of ours."""
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        key = msgspec.msgpack.decode(raw, type=list[Any])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Invalid("the cursor is not one that Tidegate returned; start again without it", field="cursor") from error
    if len(key) != len(kinds) or not all(type(part) is kind for part, kind in zip(key, kinds, strict=True)):
        raise Invalid("the cursor belongs to another list; start again without it", field="cursor")
    if not all(abs(part) < 2**63 for part in key if isinstance(part, int)):
        raise Invalid("the cursor is not one that Tidegate returned; start again without it", field="cursor")
    return tuple(key)


def page_size(limit: int, most: int = MAX_PAGE) -> int:
    """The limit, if it is one. Raises `Invalid` outside 1 to the most of this list."""
    if not 1 <= limit <= most:
        raise Invalid(f"limit {limit} is outside 1 to {most}", field="limit")
    return limit
