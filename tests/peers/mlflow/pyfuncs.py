"""Logs functions and models of all sorts as pyfunc directories with the real MLflow client, good and evil ones."""

import json
import os
import sys
import warnings
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.linear_model import LogisticRegression

ROWS = pd.DataFrame({"wind": [1.0, 2.5, 40.0, 0.1], "passengers": [1, 2, 3, 4], "carrier": ["AA", "UA", "AA", "UA"]})


class Delay(PythonModel):  # type: ignore[misc]  # MLflow is no dependency of ours
    """Answers a number a row, from all columns."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        """Wind, passengers and the carrier."""
        print("a model prints what it likes")
        assert model_input["passengers"].dtype == np.int64
        return model_input["wind"] * 2 + model_input["passengers"] + 100 * (model_input["carrier"] == "UA")


class Gusts(PythonModel):  # type: ignore[misc]  # MLflow is no dependency of ours
    """Answers a number a row, and takes one that may be missing."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        """Wind and gust."""
        return model_input["wind"] + model_input["gust"].fillna(1000) * model_input["landing"]


class Wild(PythonModel):  # type: ignore[misc]  # MLflow is no dependency of ours
    """Does what the wind says."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        """Crash, hang, forge, flood or take memory."""
        import os
        import sys
        import time

        wish = float(model_input["wind"].iloc[0])
        if wish == 1:
            os._exit(7)
        if wish == 2:
            time.sleep(3600)
        if wish == 3:
            for descriptor in range(3, 32):
                try:
                    os.write(descriptor, b"HTTP/1.1 200 OK\r\n\r\n")
                except OSError:
                    continue
            return [1.0]
        if wish == 4:
            return ["x" * (65 << 20)]
        if wish == 5:
            return [float(len(bytearray(8 << 30)))]
        if wish == 6:
            raise ValueError("it does not like this wind")
        if wish == 7:
            sys.exit("goodbye")
        if wish == 8:
            return [float("TIDEGATE_TOKEN" in os.environ or "TG_SECRET" in os.environ)]
        if wish == 9:
            return [float(os.getpid())]
        return [float(wish)]


class Payload:
    """Writes where and by whom it was unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        script = (
            f"__import__('os').path.exists({self.marker!r}) or open({self.marker!r}, 'w').write("
            "__import__('json').dumps({'pid': __import__('os').getpid(), 'executable': __import__('sys').executable, "
            "'cwd': __import__('os').getcwd(), 'environment': dict(__import__('os').environ)}))"
        )
        return eval, (script,)  # noqa: S307 - the point of it


class Carrier(PythonModel):  # type: ignore[misc]  # MLflow is no dependency of ours
    """Carries something that acts when it is unpickled."""

    def __init__(self, payload: Any) -> None:
        self.payload = payload

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        """Nothing of interest."""
        return np.zeros(len(model_input))


def logged(model: PythonModel, name: str, **given: Any) -> None:
    """One directory as a version of a registered model."""
    mlflow.pyfunc.log_model(
        name="model", python_model=model, registered_model_name=name, pip_requirements=["pandas"], **given
    )


def main() -> None:
    """Input: `{"address": …, "marker": …, "name": …}`, of a model. Output: what the good ones answer here."""
    warnings.simplefilter("ignore")
    given = json.load(sys.stdin)
    mlflow.set_tracking_uri(given["address"])
    mlflow.set_experiment("pyfuncs")
    with mlflow.start_run():
        logged(Delay(), "delay", signature=infer_signature(ROWS, np.zeros(4)))
        gusts = pd.DataFrame({"wind": [1.0, 2.5], "gust": [None, 3.0], "landing": [True, False]})
        logged(Gusts(), "gusts", signature=infer_signature(gusts, np.zeros(2)), input_example=gusts)
        logged(Wild(), "wild")
        logged(Carrier(Payload(given["marker"])), "evil")
        fitted = LogisticRegression().fit(ROWS[["wind", "passengers"]].to_numpy(), [0, 1, 0, 1])
        mlflow.sklearn.log_model(
            fitted,
            name="model",
            registered_model_name=given["name"],
            serialization_format="cloudpickle",
            input_example=ROWS[["wind", "passengers"]].to_numpy(),
            pip_requirements=["scikit-learn"],
        )
    answers = Delay().predict(None, ROWS).tolist()
    loaded = mlflow.sklearn.load_model(f"models:/{given['name']}/1")
    assert loaded.coef_.tolist() == fitted.coef_.tolist()
    classes = fitted.predict(ROWS[["wind", "passengers"]].to_numpy()).tolist()
    print(json.dumps({"delay": answers, "late": classes}))


if __name__ == "__main__":
    main()
