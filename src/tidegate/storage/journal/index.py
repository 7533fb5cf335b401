"""What the journal asks of the catalog: which segments are sealed, in which order, and who writes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from tidegate.storage.journal.records import ChainHead, SealedPart, SealedSegment


class SegmentIndex(Protocol):
    """The rows of sealed segments and the numbers of writers. Safe to use from many threads and processes."""

    def add(self, parts: Sequence[SealedPart]) -> tuple[SealedSegment, ...]:
        """Link all parts of one segment into the chain, in one transaction; what is there already stays as it is."""
        ...

    def parts_of(self, segments: Collection[str]) -> list[SealedSegment]:
        """The rows of the segments among these that are sealed."""
        ...

    def list(
        self,
        topic: str | None = None,
        *,
        writer: int | None = None,
        holding: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> "list[SealedSegment]":
        """Rows in the order of the chain, from the one after sequence number `after`.

        `holding`: only those whose ids span this one. `since`, `until` (exclusive): only those whose times may fall
        in between; a part without times always may.
        """
        ...

    def head(self) -> ChainHead:
        """The last link."""
        ...

    def allocate_writer(self, holder: str) -> int:
        """A number for a new writer, 1 to 65,535; `holder` says to people who that is."""
        ...
