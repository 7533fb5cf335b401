"""A process that logs: ``python -m tests.integration.predictions.logging_process FOLDER`` until it is killed.

Writes a line for each prediction and each label once it is acknowledged: ``prediction ID`` or ``label ID VALUE``.
"""

import sys
from pathlib import Path

from tests.contract.predictions.logged_home import LoggedHome


def main() -> None:
    """Log without end."""
    home = LoggedHome(Path(sys.argv[1]), segment_bytes=20_000)
    turn = 0
    while True:
        ids = home.predict(*(home.row(shares=[0.5, 0.5], latency=turn) for _ in range(1 + turn % 3)))
        for prediction in ids:
            print("prediction", prediction, flush=True)
        home.label(ids[0], f"value {turn}")
        print("label", ids[0], f"value {turn}", flush=True)
        turn += 1


if __name__ == "__main__":
    main()
