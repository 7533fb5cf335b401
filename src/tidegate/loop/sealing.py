"""Seals the journal's segments that nobody writes any more: rolled ones, and those of dead processes."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.objects import ObjectPlane
from tidegate.storage.journal import TopicCodec, seal_once
from tidegate.storage.journal.index import SegmentIndex

log = logging.getLogger("tidegate.loop")

PAUSE_SECONDS = 5.0


class SealingController:
    """One step seals the oldest segment that can be sealed. Killed anywhere, it simply runs again."""

    def __init__(
        self,
        folder: Path,
        *,
        index: SegmentIndex,
        objects: ObjectPlane,
        codecs: Sequence[TopicCodec],
        clock: BusinessClock,
    ) -> None:
        self._folder = folder
        self._index = index
        self._objects = objects
        self._codecs = codecs
        self._clock = clock
        self._refused: set[str] = set()

    def step(self, _fence: Callable[[Any], None]) -> float | None:
        """Seal once. Any number of controllers may do so: each segment is locked while it lasts."""
        result = seal_once(
            self._folder, index=self._index, objects=self._objects, codecs=self._codecs, clock=self._clock
        )
        for refused in result.refused:
            if refused.segment not in self._refused:
                log.warning("journal segment %s stays a file: %s", refused.segment, refused.reason)
                self._refused.add(refused.segment)
        return PAUSE_SECONDS if result.segment is None else 0.0
