"""Starts the MLflow server on the port and in the folder that the arguments name, with workers where they say so."""

import os
import sys
from pathlib import Path

OPTIONS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def main() -> None:
    """Arguments: port, an empty folder, and the number of workers (the server's own default when there is none)."""
    port, folder, workers = sys.argv[1], Path(sys.argv[2]), sys.argv[3:4]
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(OPTIONS)
    arguments = ["mlflow", "server", "--host", "127.0.0.1", "--port", port]
    arguments += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    arguments += ["--artifacts-destination", str(folder / "artifacts")]
    arguments += ["--workers", workers[0]] if workers else []
    os.chdir(folder)
    os.execvp("mlflow", arguments)


if __name__ == "__main__":
    main()
