"""A controller that kills itself: ``python -m tests.integration.predictions.controlling_process FOLDER STAGE STEP``."""

import os
import signal
import sys
from pathlib import Path

from tests.contract.predictions.logged_home import LoggedHome


def main() -> None:
    """Step until the stage of that step is reached."""
    folder, fatal, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    home = LoggedHome(folder)
    passed = 0

    def observe(stage: str) -> None:
        nonlocal passed
        passed += stage == fatal
        if passed == step:
            os.kill(os.getpid(), signal.SIGKILL)

    home.settle(batch=10, observe=observe)


if __name__ == "__main__":
    main()
