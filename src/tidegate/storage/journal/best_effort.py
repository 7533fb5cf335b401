"""A bounded queue of records that may be lost, drained by a thread, which counts what it drops."""

import itertools
import queue
import threading
from collections.abc import Callable
from operator import itemgetter

from tidegate.kernel.errors import TidegateError

_BATCH = 512
_Item = tuple[str, bytes] | None


class BestEffortQueue:
    """Hands records to `write` (topic, payloads) from a thread of its own. Safe to use from many threads."""

    def __init__(self, write: Callable[[str, list[bytes]], object], limit: int) -> None:
        self._write = write
        self._limit = limit
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Records that were not kept, because the queue or the disk was full."""
        return self._dropped

    def offer(self, topic: str, payload: bytes) -> bool:
        """Queue the record, without waiting; False when it was dropped."""
        with self._lock:
            if self._closed or self._queue.qsize() >= self._limit:
                self._dropped += 1
                return False
            if self._thread is None:
                self._thread = threading.Thread(target=self._drain, name="journal-best-effort", daemon=True)
                self._thread.start()
            self._queue.put((topic, payload))
            return True

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _drain(self) -> None:
        while item := self._queue.get():
            batch = [item]
            while len(batch) < _BATCH and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                batch.append(following)
            for topic, run in itertools.groupby(batch, key=itemgetter(0)):
                self._hand_over(topic, [payload for _, payload in run])

    def _hand_over(self, topic: str, payloads: list[bytes]) -> None:
        try:
            self._write(topic, payloads)
        except TidegateError:
            with self._lock:
                self._dropped += len(payloads)
