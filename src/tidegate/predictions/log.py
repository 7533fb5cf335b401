"""The writing side of the prediction log: cheap enough to be called on an event loop, for every request."""

from collections.abc import Sequence
from concurrent.futures import Future

import msgspec

from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.errors import Invalid
from tidegate.kernel.ids import IdFactory
from tidegate.predictions.records import LABELS, PREDICTIONS, Durability, LabelRow, PredictionRow
from tidegate.storage.journal import JournalWriter, Position

_encode = msgspec.msgpack.Encoder().encode


class PredictionLog:
    """Appends predictions and labels to the journal of this process. Thread-safe.

    Laws:

    1. **Kept.** When `append` or `append_labels` has returned, the rows are as safe as `durability` says.
    2. **Whole.** The rows of one call are adjacent in one segment; a call that raised leaves none of them
       (`best_effort` excepted, which takes row by row and never raises on load).
    3. **Found.** An id of `ids` names the journal's writer, so that looking it up opens one segment.
    4. **Repeatable.** A label that is appended again changes nothing that is read.
    """

    def __init__(self, writer: JournalWriter, clock: BusinessClock) -> None:
        self._writer = writer
        self._append = writer.append
        self.ids = IdFactory(clock, writer.writer)
        """Makes the ids of predictions."""

    @property
    def dropped(self) -> int:
        """Best-effort rows that were not kept."""
        return self._writer.dropped

    def append(self, rows: Sequence[PredictionRow], durability: Durability = "acked") -> None:
        """Write predictions. `durable` blocks until they are synced: on an event loop use `commit`.

        Raises `Unavailable` when the disk is full, `Invalid` for a value that no record can hold.
        """
        if durability == "acked" and len(rows) == 1:
            try:
                payload = _encode(rows[0])
            except (TypeError, ValueError, OverflowError) as error:
                raise _unfit(error) from error
            self._append(PREDICTIONS, payload)
        else:
            self._write(PREDICTIONS, rows, durability)

    def append_labels(self, rows: Sequence[LabelRow], durability: Durability = "acked") -> None:
        """Write labels, in any number and order, also before the prediction is seen by a reader. Raises as `append`."""
        self._write(LABELS, rows, durability)

    def commit(self, rows: Sequence[PredictionRow]) -> "Future[Position]":
        """Write predictions `durable` without blocking; await it with `asyncio.wrap_future`."""
        return self._writer.commit_async(PREDICTIONS, _payloads(rows))

    def commit_labels(self, rows: Sequence[LabelRow]) -> "Future[Position]":
        """Write labels `durable` without blocking."""
        return self._writer.commit_async(LABELS, _payloads(rows))

    def _write(self, topic: str, rows: Sequence[PredictionRow] | Sequence[LabelRow], durability: Durability) -> None:
        if not rows:
            return
        payloads = _payloads(rows)
        if durability == "acked":
            self._writer.append_many(topic, payloads)
        elif durability == "durable":
            self._writer.append_durable(topic, payloads)
        else:
            for payload in payloads:
                self._writer.append_best_effort(topic, payload)


def _payloads(rows: Sequence[PredictionRow] | Sequence[LabelRow]) -> list[bytes]:
    try:
        return [_encode(row) for row in rows]
    except (TypeError, ValueError, OverflowError) as error:
        raise _unfit(error) from error


def _unfit(error: Exception) -> Invalid:
    return Invalid(f"a row cannot be written to the prediction log ({error}): use text, booleans and 64-bit numbers")
