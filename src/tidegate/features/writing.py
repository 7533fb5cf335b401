"""Writes to the online store: pushed rows and packed entities, merged with what is there."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tidegate.features.online import Key, OnlineStore
from tidegate.features.packed import Entity, Layout
from tidegate.features.pushing import Pusher
from tidegate.features.records import Pushed, ViewVersion
from tidegate.kernel.errors import Invalid

_PACKED = list[tuple[str, bytes]]


def push_rows(
    store: OnlineStore, versions: Sequence[ViewVersion], rows: Sequence[Mapping[str, object]], now: int
) -> Pushed:
    """Merge rows into every one of these versions of a view; all of them, or none."""
    layouts: dict[str, Layout] = {}
    given: dict[Key, Entity] = {}
    left_out = 0
    for version in versions:
        pusher = Pusher(version.applied)
        batch = pusher.read(rows, now)
        layouts[version.digest] = pusher.layout
        given |= {(version.digest, name): entity for name, entity in batch.entities.items()}
        left_out = batch.left_out
    changed = store.update(given, _merging(layouts, given, replace=False)) if given else []
    newest = versions[0]
    return Pushed(
        view=newest.name,
        rows=len(rows),
        entities=_count(newest.digest, given),
        changed=_count(newest.digest, changed),
        left_out=left_out,
    )


def load_entities(store: OnlineStore, version: ViewVersion, raw: bytes) -> Pushed:
    """Merge packed entities, as `materializing` packs them; where both know a state, theirs holds."""
    layout = Layout(version.applied)
    try:
        packed = msgspec.msgpack.decode(raw, type=_PACKED)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"the object holds no packed entities: {error}", field="entities") from error
    given = {(version.digest, name): layout.order(layout.unpack(rows), replace=True) for name, rows in packed}
    changed = store.update(given, _merging({version.digest: layout}, given, replace=True)) if given else []
    rows = sum(len(entity.event) for entity in given.values())
    return Pushed(view=version.name, rows=rows, entities=len(given), changed=len(changed))


def _merging(
    layouts: dict[str, Layout], given: dict[Key, Entity], *, replace: bool
) -> Callable[[Key, bytes | None], bytes]:
    def change(key: Key, old: bytes | None) -> bytes:
        layout = layouts[key[0]]
        before = None if old is None else layout.unpack(old)
        return layout.merge(before, given[key], replace=replace).pack()

    return change


def _count(digest: str, keys: Iterable[Key]) -> int:
    return sum(key[0] == digest for key in keys)
