"""Records of one topic as a Parquet object, through the topic's codec."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tidegate.kernel.clock import from_micros
from tidegate.kernel.errors import Invalid

if TYPE_CHECKING:
    import polars as pl

NUMBER = "_number"
"""The column that sealing adds: each row's number in its segment."""

_ROW_GROUP = 50_000


class TopicCodec(Protocol):
    """Turns the records of a topic into columns."""

    @property
    def topic(self) -> str:
        """The topic it is for."""
        ...

    @property
    def sort_by(self) -> Sequence[str]:
        """Columns that the rows are sorted by; ties keep the order in which they were written."""
        ...

    @property
    def time_column(self) -> str | None:
        """A column of instants (Datetime in UTC, or integer microseconds) whose range the index keeps."""
        ...

    @property
    def id_column(self) -> str | None:
        """A column of text whose range the index keeps."""
        ...

    def to_frame(self, payloads: list[bytes]) -> "pl.DataFrame":
        """One row for each payload, in the same order, always with the same columns. Raises when one is unreadable."""
        ...


class TopicParquet(NamedTuple):
    """A Parquet file and what the index keeps of it."""

    data: bytes
    first_time: datetime | None
    last_time: datetime | None
    first_id: str | None
    last_id: str | None


def to_parquet(codec: TopicCodec, numbers: list[int], payloads: list[bytes]) -> TopicParquet:
    """The payloads as a Parquet file with their numbers, sorted. Raises `Invalid` when the codec breaks its word."""
    import polars as pl

    frame = codec.to_frame(payloads)
    if frame.height != len(payloads):
        raise Invalid(f"the codec of topic {codec.topic!r} made {frame.height} rows of {len(payloads)} records")
    if NUMBER in frame.columns:
        raise Invalid(f"the codec of topic {codec.topic!r} may not give a column named {NUMBER!r}")
    frame = frame.with_columns(pl.Series(NUMBER, numbers, dtype=pl.UInt32)).sort([*codec.sort_by, NUMBER])
    first_time, last_time = _times(frame, codec.time_column)
    first_id, last_id = _ids(frame, codec.id_column)
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True, row_group_size=_ROW_GROUP)
    return TopicParquet(buffer.getvalue(), first_time, last_time, first_id, last_id)


def _times(frame: "pl.DataFrame", column: str | None) -> tuple[datetime | None, datetime | None]:
    if column is None:
        return None, None
    import polars as pl

    times = frame[column]
    micros = times.dt.epoch("us") if isinstance(times.dtype, pl.Datetime) else times.cast(pl.Int64)
    first, last = micros.min(), micros.max()
    if not isinstance(first, int) or not isinstance(last, int):
        return None, None
    return from_micros(first), from_micros(last)


def _ids(frame: "pl.DataFrame", column: str | None) -> tuple[str | None, str | None]:
    if column is None:
        return None, None
    first, last = frame[column].min(), frame[column].max()
    return (None, None) if first is None or last is None else (str(first), str(last))
