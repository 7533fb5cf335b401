"""Homes behind foreign protocols."""

from tests.contract.endpoints.conftest import serving_home

__all__ = ["serving_home"]
