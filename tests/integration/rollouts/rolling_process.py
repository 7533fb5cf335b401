"""A controller that kills itself: ``python -m tests.integration.rollouts.rolling_process FOLDER STAGE STEP``."""

import os
import signal
import sys

from tests.contract.rollouts.rolled_home import settle
from tidegate.kernel.settings import Settings
from tidegate.workspace import open_local


def main() -> None:
    """Step until the stage of that step is reached."""
    folder, fatal, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
    passed = 0

    def observe(stage: str) -> None:
        nonlocal passed
        passed += stage == fatal
        if passed == step:
            os.kill(os.getpid(), signal.SIGKILL)

    settle(open_local(Settings(home=folder)), batch=40, observe=observe)


if __name__ == "__main__":
    main()
