"""Saves models as pyfunc directories with the real MLflow client, each with another signature, or with none."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.linear_model import LinearRegression, LogisticRegression

FLIGHTS = pd.DataFrame(
    {
        "wind": [1.0, 2.5],
        "passengers": [1, 2],
        'it\'s "late", é': [True, False],
        "gust": [None, 2.0],
        **{f"a column with a long name, and {number}": [0.5, 1.5] for number in range(4)},
    }
)
MATRIX = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, 4.0]])


class First(PythonModel):  # type: ignore[misc]  # MLflow is no dependency of ours
    """Answers the first column."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        """As floats."""
        return np.asarray(model_input.iloc[:, 0], dtype=float)


def main() -> None:
    """Input: `{"folder": …}`, in which a directory for each is made. Output: their names."""
    warnings.simplefilter("ignore")
    folder = Path(json.load(sys.stdin)["folder"])

    def saved(name: str, model: PythonModel, **given: Any) -> None:
        mlflow.pyfunc.save_model(folder / name, python_model=model, pip_requirements=["pandas", "numpy>=2"], **given)

    saved("flights", First(), signature=infer_signature(FLIGHTS, np.zeros(2)), input_example=FLIGHTS)
    saved("truth", First(), signature=infer_signature(FLIGHTS[["wind"]], np.array([True])))
    saved("text", First(), signature=infer_signature(pd.DataFrame({"carrier": ["AA"]}), np.zeros(1)))
    saved("inputs only", First(), signature=infer_signature(FLIGHTS[["wind"]]))
    saved("plain", First())
    for name, model in (("matrix", LinearRegression()), ("labels", LogisticRegression())):
        fitted = model.fit(MATRIX, [0, 1, 1])
        options = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]}
        mlflow.sklearn.save_model(fitted, folder / name, input_example=MATRIX, **options)
    print(json.dumps(sorted(each.name for each in folder.iterdir())))


if __name__ == "__main__":
    main()
