"""Starts MLServer with one small scikit-learn model, on the port and in the folder that the arguments name."""

import json
import os
import sys
from pathlib import Path

# With its default of parallel workers, MLServer 1.7.1 dies on uvloop 0.23.
SETTINGS = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_endpoint": None, "debug": False}
MODEL = {"name": "sum", "implementation": "mlserver_sklearn.SKLearnModel"}


def main() -> None:
    """Arguments: HTTP port, gRPC port, an empty folder. The model `sum` adds the three numbers of a row."""
    port, grpc_port, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    write_model(folder / "sum")
    ports = {"http_port": port, "grpc_port": grpc_port}
    (folder / "settings.json").write_text(json.dumps(SETTINGS | ports), encoding="utf-8")
    os.execvp("mlserver", ["mlserver", "start", str(folder)])


def write_model(folder: Path) -> None:
    """Fit and save the model."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LinearRegression

    folder.mkdir(parents=True)
    rows = np.random.default_rng(7).normal(size=(50, 3))
    joblib.dump(LinearRegression().fit(rows, rows.sum(axis=1)), folder / "model.joblib")
    settings = MODEL | {"parameters": {"uri": "./model.joblib", "version": "v1"}}
    (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")


if __name__ == "__main__":
    main()
