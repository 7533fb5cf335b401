"""Keeps an event loop free: quick answers run on it, everything else in a few threads."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tidegate.kernel.errors import Unavailable

THREADS: Final = max(2, os.cpu_count() or 1)

MOST_WAITING: Final = 64
"""Requests that may be in those threads' hands or wait for them; a further one hears `Unavailable` at once."""


class Pace:
    """Where an answer runs. One an event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="endpoint-answer")
        self._waiting = 0

    async def answer(self, name: str, work: Callable[[], bytes], *, quick: bool) -> bytes:
        """What ``work`` for endpoint ``name`` returns, on the loop if it is quick."""
        if quick:
            return work()
        if self._waiting >= MOST_WAITING:
            raise Unavailable(f"endpoint {name[:140]} is busy: {MOST_WAITING} requests are waiting; try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
