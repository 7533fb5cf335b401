"""Packs what a source knows by a moment, for the online store."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tidegate.data.records import DatasetVersion
from tidegate.features.batch import Source
from tidegate.features.online import entity_key
from tidegate.features.packed import Layout
from tidegate.features.records import AppliedView
from tidegate.features.rules import source_types

if TYPE_CHECKING:
    import polars as pl

_ENTITIES = 5_000
"""Entities of one piece: while it is merged, pushes wait."""


class Packed(NamedTuple):
    """The entities of a view, in pieces."""

    packed: Iterator[bytes]
    rows: int
    """Rows of the source."""
    left_out: int
    """Rows that are never known."""


def packed_batches(view: AppliedView, version: DatasetVersion, frame: "pl.DataFrame", until: int) -> Packed:
    """The packed entities of a view, from the rows that are known by `until` (microseconds)."""
    batch = Source(frame, source_types(version.contract), str(version)).batch(view)
    layout = Layout(view)

    def pieces() -> Iterator[bytes]:
        piece: list[tuple[str, bytes]] = []
        for *names, code in batch.keys.select(*view.view.entity, "code").iter_rows():
            entity = layout.entity_of(batch.history, code, until)
            if entity is None:
                continue
            piece.append((entity_key(names), entity.pack()))
            if len(piece) == _ENTITIES:
                yield msgspec.msgpack.encode(piece)
                piece = []
        if piece:
            yield msgspec.msgpack.encode(piece)

    return Packed(pieces(), frame.height, batch.never_known)
