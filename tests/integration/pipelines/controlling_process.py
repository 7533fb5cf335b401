"""The controllers of a home in a process of their own: ``python -m …controlling_process HOME CATALOG``."""

import sys
import threading

from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local


def main() -> None:
    """Run the controllers of the home in the first argument, with the catalog in the second, until killed."""
    with open_local(Settings(home=sys.argv[1], catalog=sys.argv[2])) as workspace:
        workspace.controller_loop.run(threading.Event())


if __name__ == "__main__":
    main()
