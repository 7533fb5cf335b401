"""A frame as the reference of an endpoint."""

import io
from typing import Any

import polars as pl

from tidegate.data.reading import read_table
from tidegate.kernel.errors import Invalid


def packed_reference(source: Any, at: str) -> bytes:
    """A frame or a file as the object of a reference. Raises `Invalid` without a column `at` of aware instants."""
    frame = read_table(source).frame
    if at not in frame.columns:
        raise Invalid(f"the frame has no column {at!r}; it has {', '.join(frame.columns[:20])}", field="at")
    kind = frame.schema[at]
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
        raise Invalid(f"column {at!r} holds {kind}, and must hold instants with a time zone", field="at")
    plain = frame.select(name for name, each in frame.schema.items() if name == at or not each.is_nested())
    buffer = io.BytesIO()
    plain.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()
