"""The writing side of the prediction log: cheap enough to be called on an event loop, for every request."""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import msgspec

from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.errors import Invalid
from tidegate.kernel.ids import IdFactory
from tidegate.predictions.records import LABELS, PREDICTIONS, Durability, LabelRow, PredictionRow
from tidegate.storage.journal import JournalWriter, Position

_ID = re.compile(r"[0-9a-f]{32}")
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

    def __init__(self, writer: JournalWriter | Callable[[], JournalWriter], clock: BusinessClock) -> None:
        """`writer`: the journal writer of this process, or what opens it when the first id or row is wanted."""
        self._open = writer
        self._clock = clock
        self._opening = threading.Lock()
        self._opened: tuple[JournalWriter, IdFactory] | None = None

    @property
    def ids(self) -> IdFactory:
        """Makes the ids of predictions."""
        return (self._opened or self._now_open())[1]

    @property
    def dropped(self) -> int:
        """Best-effort rows that were not kept."""
        return 0 if self._opened is None else self._opened[0].dropped

    def close(self) -> None:
        """Close the writer, if it was ever opened."""
        with self._opening:
            if self._opened is not None:
                self._opened[0].close()

    def append(self, rows: Sequence[PredictionRow], durability: Durability = "acked") -> None:
        """Write predictions. `durable` blocks until they are synced: on an event loop use `commit`.

        Raises `Unavailable` when the disk is full, `Invalid` for a value that no record can hold.
        """
        if durability == "acked" and len(rows) == 1:
            try:
                payload = _encode(rows[0])
            except (TypeError, ValueError, OverflowError) as error:
                raise _unfit(error) from error
            (self._opened or self._now_open())[0].append(PREDICTIONS, payload)
        else:
            self._write(PREDICTIONS, rows, durability)

    def append_labels(self, rows: Sequence[LabelRow], durability: Durability = "acked") -> None:
        """Write labels, in any number and order, also before the prediction is seen by a reader.

        Raises as `append`, and `Invalid` for what cannot be a prediction's id.
        """
        _check_ids(rows)
        self._write(LABELS, rows, durability)

    def commit(self, rows: Sequence[PredictionRow]) -> "Future[Position]":
        """Write predictions `durable` without blocking; await it with `asyncio.wrap_future`."""
        return self._writer().commit_async(PREDICTIONS, _payloads(rows))

    def commit_labels(self, rows: Sequence[LabelRow]) -> "Future[Position]":
        """Write labels `durable` without blocking."""
        _check_ids(rows)
        return self._writer().commit_async(LABELS, _payloads(rows))

    def _write(self, topic: str, rows: Sequence[PredictionRow] | Sequence[LabelRow], durability: Durability) -> None:
        if not rows:
            return
        payloads, writer = _payloads(rows), self._writer()
        if durability == "acked":
            writer.append_many(topic, payloads)
        elif durability == "durable":
            writer.append_durable(topic, payloads)
        else:
            for payload in payloads:
                writer.append_best_effort(topic, payload)

    def _writer(self) -> JournalWriter:
        return (self._opened or self._now_open())[0]

    def _now_open(self) -> tuple[JournalWriter, IdFactory]:
        with self._opening:
            if self._opened is None:
                writer = self._open if isinstance(self._open, JournalWriter) else self._open()
                self._opened = writer, IdFactory(self._clock, writer.writer)
            return self._opened


def _check_ids(rows: Sequence[LabelRow]) -> None:
    """A label with any other text would be in the way of sealing, and of everything that orders by id."""
    for row in rows:
        if _ID.fullmatch(row.prediction_id) is None:
            raise Invalid(
                f"{row.prediction_id[:64]!r} is no prediction's id: those are 32 hex digits, as predict returned them",
                prediction_id=row.prediction_id[:64],
            )


def _payloads(rows: Sequence[PredictionRow] | Sequence[LabelRow]) -> list[bytes]:
    try:
        return [_encode(row) for row in rows]
    except (TypeError, ValueError, OverflowError) as error:
        raise _unfit(error) from error


def _unfit(error: Exception) -> Invalid:
    return Invalid(f"a row cannot be written to the prediction log ({error}): use text, booleans and 64-bit numbers")
