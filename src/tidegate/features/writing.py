"""Writes to the online store: pushed rows and packed entities, merged with what is there."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tidegate.features.entities import Entities
from tidegate.features.online import Key
from tidegate.features.packed import Entity, Layout
from tidegate.features.pushing import Pusher, Told
from tidegate.features.records import Pushed, ViewVersion
from tidegate.kernel.errors import Invalid

_PACKED = list[tuple[str, bytes]]


class Batch(NamedTuple):
    """Rows of one source, and the versions of views over it that are told them; of each view, the newest first."""

    views: Sequence[ViewVersion]
    rows: Sequence[Mapping[str, object]]


class OnlineWriter:
    """Writes rows to an online store. Thread-safe."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._pushers: dict[str, Pusher] = {}

    def push(self, batches: Sequence[Batch], now: int) -> list[Pushed]:
        """Merge the rows of each batch into every one of its views; all of them, or none.

        No view may be in two batches.
        """
        layouts: dict[str, Layout] = {}
        given: dict[Key, Entity] = {}
        left_out = []
        for place, batch in enumerate(batches):
            told, most = Told(batch.rows), 0
            for version in batch.views:
                pusher = self._pushers.get(version.digest)
                if pusher is None:
                    pusher = self._pushers[version.digest] = Pusher(version.applied)
                with _in_batch(place if len(batches) > 1 else None):
                    read = pusher.read(told, now)
                layouts[version.digest] = pusher.layout
                given |= {(version.digest, name): entity for name, entity in read.entities.items()}
                most = max(most, read.left_out)
            left_out.append(most)
        changed = Counter(digest for digest, _ in self._entities.merge(layouts, given, replace=False))
        entities = Counter(digest for digest, _ in given)
        return [_pushed(*one, entities, changed) for one in zip(batches, left_out, strict=True)]

    def load(self, version: ViewVersion, raw: bytes) -> Pushed:
        """Merge packed entities, as `materializing` packs them; where both know a state, theirs holds."""
        layout = Layout(version.applied)
        try:
            packed = msgspec.msgpack.decode(raw, type=_PACKED)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Invalid(f"the object holds no packed entities: {error}", field="entities") from error
        given = {(version.digest, name): layout.ordered(layout.unpack(rows), replace=True) for name, rows in packed}
        changed = self._entities.merge({version.digest: layout}, given, replace=True)
        rows = sum(len(entity) for entity in given.values())
        return Pushed(view=version.name, rows=rows, entities=len(given), changed=len(changed))


def _pushed(batch: Batch, left_out: int, entities: Counter[str], changed: Counter[str]) -> Pushed:
    newest = {version.name: version.digest for version in reversed(batch.views)}.values()
    return Pushed(
        view=batch.views[0].name,
        rows=len(batch.rows),
        entities=sum(entities[digest] for digest in newest),
        changed=sum(changed[digest] for digest in newest),
        left_out=left_out,
    )


@contextlib.contextmanager
def _in_batch(place: int | None) -> Iterator[None]:
    """Say in which of several batches a row is wrong."""
    try:
        yield
    except Invalid as error:
        if place is None:
            raise
        raise Invalid(f"pushes[{place}].{error.message}", **error.details, push=place) from None
