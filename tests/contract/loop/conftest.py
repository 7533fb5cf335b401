"""The catalog on each database."""

from tests.contract.storage.catalog_home import catalog, catalog_home, replica

__all__ = ["catalog", "catalog_home", "replica"]
