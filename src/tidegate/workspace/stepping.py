"""The process of one run of a pipeline: ``python -m tidegate.workspace.stepping``; standard input says which."""

import logging

import msgspec

from tidegate.kernel.errors import Conflict
from tidegate.kernel.settings import Settings
from tidegate.loop.supervisor import end_with_parent, read_message
from tidegate.pipelines.running import run_steps
from tidegate.workspace.opening import open_local

log = logging.getLogger("tidegate.pipelines")


class Order(msgspec.Struct, frozen=True):
    """Which run of which home; the settings name the person who started it as the actor."""

    settings: Settings
    run: str
    term: int


def main() -> None:
    """Work through the steps of the run until it waits or ends, or until the controller is gone."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    order = msgspec.json.decode(read_message(), type=Order)
    end_with_parent()
    with open_local(order.settings) as workspace:
        try:
            run_steps(workspace, workspace.pipeline_journal, order.run, order.term, workspace.storage.clock)
        except Conflict as error:
            log.warning("%s", error.message)


if __name__ == "__main__":
    main()
