"""Homes behind foreign protocols."""

from tests.contract.compat.mlflow_client import client
from tests.contract.endpoints.conftest import serving_home

__all__ = ["client", "serving_home"]
