"""Writes to the online store: pushed rows and packed entities, merged with what is there."""

from collections.abc import Mapping, Sequence

import msgspec

from tidegate.features.entities import Entities
from tidegate.features.online import Key
from tidegate.features.packed import Entity, Layout
from tidegate.features.pushing import Pusher, Told
from tidegate.features.records import Pushed, ViewVersion
from tidegate.kernel.errors import Invalid

_PACKED = list[tuple[str, bytes]]


class OnlineWriter:
    """Writes rows to an online store. Thread-safe."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._pushers: dict[str, Pusher] = {}

    def push(self, versions: Sequence[ViewVersion], rows: Sequence[Mapping[str, object]], now: int) -> Pushed:
        """Merge rows into every one of these versions of views over one source; all of them, or none."""
        told = Told(rows)
        layouts: dict[str, Layout] = {}
        given: dict[Key, Entity] = {}
        left_out = 0
        for version in versions:
            pusher = self._pushers.get(version.digest)
            if pusher is None:
                pusher = self._pushers[version.digest] = Pusher(version.applied)
            batch = pusher.read(told, now)
            layouts[version.digest] = pusher.layout
            given |= {(version.digest, name): entity for name, entity in batch.entities.items()}
            left_out = max(left_out, batch.left_out)
        changed = self._entities.merge(layouts, given, replace=False)
        newest = {version.name: version.digest for version in reversed(versions)}.values()
        return Pushed(
            view=versions[0].name,
            rows=len(rows),
            entities=sum(digest in newest for digest, _ in given),
            changed=sum(digest in newest for digest, _ in changed),
            left_out=left_out,
        )

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
