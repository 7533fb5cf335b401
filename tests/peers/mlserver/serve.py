"""Starts MLServer with small scikit-learn models, on the port and in the folder that the arguments name."""

import json
import os
import shutil
import sys
from pathlib import Path

# With its default of parallel workers, MLServer 1.7.1 dies on uvloop 0.23.
SETTINGS = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_endpoint": None, "debug": False}


def main() -> None:
    """Arguments: HTTP port, gRPC port, an empty folder, then files of models (joblib), each named as its model.

    The model `sum`, which is always there, adds the three numbers of a row.
    """
    port, grpc_port, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    write_sum(folder / "sum")
    for file in map(Path, sys.argv[4:]):
        (folder / file.stem).mkdir()
        shutil.copy(file, folder / file.stem / "model.joblib")
        describe(folder / file.stem)
    ports = {"http_port": port, "grpc_port": grpc_port}
    (folder / "settings.json").write_text(json.dumps(SETTINGS | ports), encoding="utf-8")
    os.execvp("mlserver", ["mlserver", "start", str(folder)])


def write_sum(folder: Path) -> None:
    """Fit and save the model that adds."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LinearRegression

    folder.mkdir(parents=True)
    rows = np.random.default_rng(7).normal(size=(50, 3))
    joblib.dump(LinearRegression().fit(rows, rows.sum(axis=1)), folder / "model.joblib")
    describe(folder)


def describe(folder: Path) -> None:
    """Say what MLServer wants to know of the model in a folder."""
    settings = {
        "name": folder.name,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib", "version": "v1"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")


if __name__ == "__main__":
    main()
