"""The table of uploaded runs: how much of each journal is here."""

import sqlalchemy as sa

from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import table

uploads = table(
    "run_upload",
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("entries", sa.BigInteger, nullable=False),
    room="runs",
)


class SqlUploads:
    """Uploaded runs in the catalog. Keeps the promises of `UploadStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def held(self, run_id: str) -> int:
        """How many entries are written. Others who upload the same run wait until the transaction ends."""
        new = self._catalog.insert(uploads).values(run_id=run_id, entries=0).on_conflict_do_nothing()
        query = sa.select(uploads.c.entries).where(uploads.c.run_id == run_id).with_for_update()
        with self._catalog.connect() as connection:
            connection.execute(new)
            entries: int = connection.execute(query).scalar_one()
        return entries

    def advance(self, run_id: str, entries: int) -> None:
        """Note that so many are written."""
        with self._catalog.connect() as connection:
            connection.execute(uploads.update().where(uploads.c.run_id == run_id).values(entries=entries))
