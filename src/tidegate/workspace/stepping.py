"""The process of a pipeline's runs: ``python -m tidegate.workspace.stepping``; each line of standard input is an order.

Most of what a short training costs is the import of the libraries that it trains with. So the process stays for a
while when a run waits or is done, and works on the next one of the same pipeline with what it has loaded.
"""

import contextlib
import logging
import os
import sys
from datetime import datetime
from pathlib import Path

import msgspec

from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Conflict
from tidegate.kernel.settings import Settings
from tidegate.loop.supervisor import another_message, end_with_parent, read_message
from tidegate.pipelines.running import load, run_steps
from tidegate.workspace.opening import open_local

log = logging.getLogger("tidegate.pipelines")

IDLE_SECONDS = 60.0
"""The process ends when it had nothing to do for so long: what it has loaded takes memory."""


class Order(msgspec.Struct, frozen=True):
    """Which run of which home; the settings name the person who started it as the actor."""

    settings: Settings
    run: str = ""
    """Empty: there is none yet, and all that is wanted is the code of the functions."""
    term: int = 0
    functions: tuple[str, ...] = ()


def main() -> None:
    """Work through the steps of each run until it waits or is done; end after a failed one, and with the controller.

    Laws:

    1. **No stale code.** A run never meets a module whose file has changed since the process began: the process then
       begins anew, before it has read the order.
    2. **No debris.** A process in which a step has failed takes no other run.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    began, folder = SystemClock().wall(), Path.cwd()
    end_with_parent()
    while another_message(IDLE_SECONDS):
        if _changed_since(began):
            os.chdir(folder)
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        order = read_message()
        if not order or not _work(msgspec.json.decode(order, type=Order)):
            return


def _work(order: Order) -> bool:
    """Whether the run waits or is done, and left the process as it should be."""
    with open_local(order.settings) as workspace:
        if not order.run:
            load(order.functions)
            return True
        try:
            run = run_steps(workspace, workspace.pipeline_journal, order.run, order.term, workspace.storage.clock)
        except Conflict as error:
            log.warning("%s", error.message)
            return False
    return run.state in ("waiting", "done")


def _changed_since(moment: datetime) -> bool:
    """Whether the file of a loaded module has changed, was replaced or is gone since then."""
    paths = [path for module in list(sys.modules.values()) if (path := getattr(module, "__file__", None))]
    with contextlib.suppress(OSError):
        return any(Path(path).stat().st_ctime > moment.timestamp() for path in paths)
    return True


if __name__ == "__main__":
    main()
