"""Writes a frame as Parquet objects of a stable size, and reads them back.

A fragment holds 100,000 rows, the last one what is left: rows appended later leave the earlier fragments as they
are, so only the new ones take space. The writer's options are fixed, so the same rows give the same bytes.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.data.records import Fragment
from tidegate.kernel.errors import Internal
from tidegate.kernel.objects import ObjectPlane

if TYPE_CHECKING:
    import polars as pl

FRAGMENT_ROWS = 100_000


def write_fragments(frame: "pl.DataFrame", objects: ObjectPlane) -> tuple[Fragment, ...]:
    """Put a frame in stored form, fragment by fragment."""
    fragments = []
    for start in range(0, frame.height, FRAGMENT_ROWS):
        rows = frame.slice(start, FRAGMENT_ROWS)
        info = objects.put(parquet_bytes(rows))
        fragments.append(Fragment(info.digest, rows.height, info.size))
    return tuple(fragments)


def parquet_bytes(rows: "pl.DataFrame") -> bytes:
    """The bytes of one fragment."""
    buffer = io.BytesIO()
    rows.rechunk().write_parquet(
        buffer,
        compression="zstd",
        compression_level=3,
        statistics=True,
        row_group_size=FRAGMENT_ROWS,
        data_page_size=1024 * 1024,
    )
    return buffer.getvalue()


def read_fragments(
    fragments: Sequence[Fragment], objects: ObjectPlane, columns: Sequence[str] | None = None
) -> "pl.DataFrame":
    """The rows of the fragments in order, each object verified against its digest."""
    import polars as pl

    frames = []
    for fragment in fragments:
        raw = objects.get(fragment.digest)
        frame = pl.read_parquet(io.BytesIO(raw), columns=None if columns is None else list(columns))
        if frame.height != fragment.rows:
            raise Internal(f"fragment {fragment.digest} has {frame.height} rows, its manifest says {fragment.rows}")
        frames.append(frame if columns is None else frame.select(columns))
    return pl.concat(frames, rechunk=False)
