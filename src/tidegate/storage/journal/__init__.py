"""Append-only rows in volume: predictions, labels, feature logs, spans.

A process appends to a segment file of its own; a segment that nobody owns any more is sealed: one Parquet object
a topic, one row each in the catalog, linked into a hash chain. Readers see both as one.

Laws (a test in ``tests/contract/storage`` names each):

1. **Acked survives the process.** When `append` or `append_many` has returned, the records survive the death of
   every process on the machine, in the order in which they were acknowledged. Power loss may take those of the last
   `sync_every` seconds.
2. **Durable survives power.** When `append_durable` or the future of `commit_async` has returned, the records
   survive the loss of power, as far as fdatasync keeps its promise. A failed fdatasync fails every append that it
   was to cover, and nothing more is written to that segment.
3. **All or nothing.** An append that raised leaves nothing of itself behind (disk full, say), takes nothing that was
   acknowledged with it, and the next one works as soon as there is room again. A record is promised only once it is
   acknowledged: until then a reader may see it, or see it vanish.
4. **Best effort counts.** `append_best_effort` never waits and never raises on load: what it cannot keep in its
   bounded queue or on the disk is counted in `dropped`.
5. **A tear hides nothing.** Whatever is torn off or damaged, every record before it is read; recovery also finds the
   records after it, each under its own number, and keeps a damaged file beside what it salvaged.
6. **One owner.** A segment belongs to the process that holds the lock on its file, for the life of that process.
   Only the owner, or a recovery that has taken the lock, may truncate or seal. A writer used in a forked child raises.
7. **Readers never write**, and need no lock: beside a live writer they see every acknowledged record up to the last
   whole one, each once.
8. **Positions last.** A record's position (segment, number) stays true when its segment is sealed; numbers rise
   within a segment, and may leave gaps.
9. **Sealing is idempotent.** Killed at any step it can run again: nothing is lost, nothing is there twice, and a
   snapshot of a reader sees each record exactly once, before, during and after. A segment holding a topic without
   codec, or a record that its codec refuses, stays a file, and the result says so.
10. **The chain tells.** Each sealed row carries the hash of its predecessor: a changed, missing, added or swapped row
    is found by `verify`, and a changed or missing object too when it is asked to look.
11. **Writer numbers.** Each allocation gets another number, 1 to 65,535, until all have been given out; the number
    stands in ids, in the segment's header and in the index, so that a look-up by id opens one segment.
"""

from tidegate.storage.journal.chain import ChainFault, ChainReport, verify
from tidegate.storage.journal.parquet import TopicCodec
from tidegate.storage.journal.reader import JournalReader, JournalSnapshot
from tidegate.storage.journal.records import ChainHead, Position, SealedSegment, SealResult, SegmentInfo
from tidegate.storage.journal.sealing import seal_once
from tidegate.storage.journal.writer import JournalWriter

__all__ = [
    "ChainFault",
    "ChainHead",
    "ChainReport",
    "JournalReader",
    "JournalSnapshot",
    "JournalWriter",
    "Position",
    "SealResult",
    "SealedSegment",
    "SegmentInfo",
    "TopicCodec",
    "seal_once",
    "verify",
]
