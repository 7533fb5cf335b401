"""Starts the MLflow server on the port and in the folder that the arguments name, with workers where they say so."""

import os
import sys
from pathlib import Path

OPTIONS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def main() -> None:
    """Arguments: port, an empty folder, and where they are not the server's own the number of workers and the database.

    The number is empty where only the database is given, as the address of one on PostgreSQL.
    """
    port, folder = sys.argv[1], Path(sys.argv[2])
    workers, database = [*sys.argv[3:], "", ""][:2]
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(OPTIONS)
    arguments = ["mlflow", "server", "--host", "127.0.0.1", "--port", port]
    arguments += ["--backend-store-uri", database or f"sqlite:///{folder / 'mlflow.db'}"]
    arguments += ["--artifacts-destination", str(folder / "artifacts")]
    arguments += ["--workers", workers] if workers else []
    os.chdir(folder)
    os.execvp("mlflow", arguments)


if __name__ == "__main__":
    main()
