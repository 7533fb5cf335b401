"""The controller process: ``python -m tidegate.workspace.controlling``, its settings on standard input as JSON."""

import logging
import os
import signal
import threading

import msgspec

from tidegate.kernel.settings import Settings
from tidegate.loop.supervisor import end_with_parent, read_message, settle
from tidegate.workspace.opening import open_local

NICENESS = 5
"""Whoever waits for an answer goes first."""


def main() -> None:
    """Run the controllers of a home until SIGTERM, or until the supervisor is gone."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = msgspec.json.decode(read_message(), type=Settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    end_with_parent()
    os.nice(NICENESS)
    with open_local(settings, part="controllers") as workspace:
        settle()
        if hasattr(workspace.storage.clock, "advance"):
            workspace.tick_desk.run(stop)  # in a simulated home things happen when `tick` says so, and only then
        else:
            workspace.controller_loop.run(stop)


if __name__ == "__main__":
    main()
