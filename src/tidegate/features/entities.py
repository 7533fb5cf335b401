"""The online store as entities: merged into, and looked up, without unpacking the same bytes twice."""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from tidegate.features.online import Key, OnlineStore
from tidegate.features.packed import Entity, Layout

MOST_KEPT: Final = 200_000
"""Entities that a process keeps unpacked."""


class Entities:
    """The entities of an online store. Thread-safe.

    What a process has read or written of late it keeps unpacked beside its bytes. The bytes in the store decide: an
    entity is taken from memory only where the store holds the very bytes that it stands for.
    """

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._mark = 0
        self._fresh: dict[Key, Entity | None] = {}
        self._unpacked: dict[Key, tuple[bytes, Entity]] = {}

    def get(self, layouts: Mapping[str, Layout], keys: Sequence[Key]) -> list[Entity | None]:
        """The rows under each of these keys, None for those of which nothing is known. As fresh as the store.

        ``layouts`` are those of their views.
        """
        with self._lock:
            news = self._store.news(self._mark)
            if news is not None:
                self._mark = news.mark
                for key in news.keys:
                    self._fresh.pop(key, None)
            with contextlib.suppress(KeyError):
                return [self._fresh[key] for key in keys]
            missing = [key for key in keys if key not in self._fresh]
            if len(self._fresh) + len(missing) > MOST_KEPT:
                self._fresh.clear()
                missing = list(keys)
            found = self._store.read(missing)
            for key in missing:
                self._fresh[key] = self._unpack(layouts[key[0]], key, found[key]) if key in found else None
            return [self._fresh[key] for key in keys]

    def merge(self, layouts: Mapping[str, Layout], given: Mapping[Key, Entity], *, replace: bool) -> list[Key]:
        """Merge rows into the store, as the layouts of their views do; the keys under which anything changed.

        All of them, or none: raises `Conflict` as `Layout.merge` does, and `Unavailable`.
        """

        merged: dict[Key, Entity | None] = {}

        def change(key: Key, old: bytes | None) -> bytes:
            layout = layouts[key[0]]
            before = None if old is None else self._unpack(layout, key, old)
            after = merged[key] = layout.merge(before, given[key], replace=replace)
            raw = after.pack()
            self._keep(key, raw, after)
            return raw

        if not given:
            return []
        updated = self._store.update(given, change)
        with self._lock:
            if updated.keys and updated.mark == self._mark + 1:  # nobody else wrote since we looked
                self._mark = updated.mark
                self._fresh |= {key: merged[key] for key in updated.keys}
        return updated.keys

    def _unpack(self, layout: Layout, key: Key, raw: bytes) -> Entity:
        kept = self._unpacked.get(key)
        if kept is not None and kept[0] == raw:
            return kept[1]
        entity = layout.unpack(raw)
        self._keep(key, raw, entity)
        return entity

    def _keep(self, key: Key, raw: bytes, entity: Entity) -> None:
        if len(self._unpacked) >= MOST_KEPT:
            self._unpacked.clear()
        self._unpacked[key] = raw, entity
