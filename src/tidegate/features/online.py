"""The online store: packed rows by view and entity, shared by the processes of a home."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

Key = tuple[str, str]
"""The digest of a view's version, and an entity as `entity_key` writes it."""


_ENCODE: Final = msgspec.json.Encoder().encode


def entity_key(values: Sequence[object]) -> str:
    """The text that names an entity: its key values as a JSON array."""
    return _ENCODE(values).decode()


class News(NamedTuple):
    """What changed since a mark."""

    mark: int
    keys: list[Key]


class Updated(NamedTuple):
    """What an update did."""

    mark: int
    """As of `News`: whoever knew what was before, marks are whole numbers in a row, knows all up to it now."""
    keys: list[Key]
    """Those under which something changed."""


class OnlineStore(Protocol):
    """Where packed rows are kept. Safe to use from many threads and processes.

    Laws:

    1. **Whole.** An `update` is visible as a whole or not at all, whatever dies in between.
    2. **Serial.** `update` shows `change` what is there, and nobody writes in between.
    3. **Next read.** What was updated is read by the next `read` of every process, and named by its next `news`.
    4. **Lazy.** A store that nobody wrote to is empty; reading it makes nothing.
    """

    def update(self, keys: Iterable[Key], change: Callable[[Key, bytes | None], bytes]) -> Updated:
        """Replace what is kept under each key by what `change` makes of it.

        What `change` raises is raised, and nothing was changed then. Raises `Unavailable`.
        """
        ...

    def read(self, keys: Sequence[Key]) -> Mapping[Key, bytes]:
        """What is kept under these keys, as far as there is anything. Raises `Unavailable`."""
        ...

    def news(self, mark: int) -> News | None:
        """What changed since a mark (0: ever), None where nothing did; cheap enough to ask before every read."""
        ...

    def close(self) -> None:
        """Release files."""
        ...
