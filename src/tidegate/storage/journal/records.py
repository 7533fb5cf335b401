"""What the journal speaks of: positions, segments, their sealed parts, and what a round of sealing did."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

GENESIS = "0" * 64
"""The hash that the first link of a chain names as its predecessor."""


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where a record stands. Stays true when the segment is sealed."""

    segment: str
    number: int
    """Ordinal in the segment over all topics, from 0; the column `_number` once sealed."""


class SegmentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that is still a file."""

    segment: str
    writer: int
    opened_at: datetime
    size: int
    """Bytes of the file when it was looked at."""


class SealedPart(msgspec.Struct, frozen=True, kw_only=True):
    """One topic of a segment, as a Parquet object, before it has its place in the chain."""

    segment: str
    topic: str
    writer: int
    opened_at: datetime
    sealed_at: datetime
    digest: str
    sha256: str
    size: int
    """Bytes of the Parquet object."""
    rows: int
    first_number: int
    last_number: int
    first_time: datetime | None = None
    """Least and greatest value of the codec's time column."""
    last_time: datetime | None = None
    first_id: str | None = None
    """Least and greatest value of the codec's id column."""
    last_id: str | None = None


class SealedSegment(SealedPart, frozen=True, kw_only=True):
    """One topic of a sealed segment: a row of the index and a link of the hash chain."""

    sequence: int
    """Place in the chain, from 1."""
    previous_hash: str
    hash: str
    """BLAKE3 of `previous_hash` and the canonical form of everything else."""


class ChainHead(msgspec.Struct, frozen=True):
    """The last link of the chain. Kept elsewhere too (an audit row), it also proves that nothing was cut off."""

    sequence: int
    hash: str


class RefusedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that could not be sealed and stays a file."""

    segment: str
    reason: str


class SealResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of sealing did. `segment` is None when there was nothing that could be sealed."""

    segment: str | None = None
    sealed: tuple[SealedSegment, ...] = ()
    """The parts that are in the index now; empty for a segment without records."""
    torn_bytes: int = 0
    """Bytes cut from the end: a record that was being written when its owner died."""
    damaged_bytes: int = 0
    """Bytes that no longer read as records although later ones do. Their file is kept, named `.damaged`."""
    refused: tuple[RefusedSegment, ...] = ()


Cursor = Mapping[str, int]
"""The number of the last record read, by segment."""
