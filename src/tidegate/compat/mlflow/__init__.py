"""MLflow's REST protocol (tracking), as the client of MLflow 3.17 speaks it. It translates, and decides nothing.

Source: https://mlflow.org/docs/latest/rest-api.html and the protocol definitions of MLflow 3.17.2.
"""

from tidegate.compat.mlflow.routes import MlflowRest

__all__ = ["MlflowRest"]
