"""The tables of datasets."""

import msgspec
import sqlalchemy as sa

from tidegate.data.records import Contract, ContractRevision, Dataset, DatasetVersion, Manifest
from tidegate.kernel.clock import from_micros, to_micros
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

datasets = table(
    "dataset",
    sa.Column("name", sa.String(128), primary_key=True),
    room="data",
)

versions = table(
    "dataset_version",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, index=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("manifest", sa.LargeBinary, nullable=False),
    sa.Column("contract_revision", sa.Integer, nullable=False),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.UniqueConstraint("name", "digest"),
    room="data",
)

contracts = table(
    "dataset_contract",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("contract", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    room="data",
)

_HELD = sa.select(versions, contracts.c.contract.label("contract")).join(
    contracts,
    sa.and_(contracts.c.name == versions.c.name, contracts.c.revision == versions.c.contract_revision),
)


class SqlData:
    """Datasets in the catalog. See `DataStore` for the laws."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def hold(self, name: str) -> None:
        """Make the dataset if it is new, and lock its row until the transaction ends."""
        with self._catalog.connect() as connection:
            connection.execute(self._catalog.insert(datasets).values(name=name).on_conflict_do_nothing())
            connection.execute(sa.select(datasets.c.name).where(datasets.c.name == name).with_for_update())

    def add_version(self, version: DatasetVersion, manifest: Manifest) -> None:
        """Insert a version."""
        with self._catalog.connect() as connection:
            connection.execute(
                versions.insert().values(
                    name=version.name,
                    number=version.number,
                    digest=version.digest,
                    rows=version.rows,
                    manifest=msgspec.json.encode(manifest),
                    contract_revision=version.contract_revision,
                    created_at=to_micros(version.created_at),
                    created_by=version.created_by,
                    note=version.note,
                    source=version.source,
                )
            )

    def add_contract(self, revision: ContractRevision) -> None:
        """Insert a revision of the contract."""
        with self._catalog.connect() as connection:
            connection.execute(
                contracts.insert().values(
                    name=revision.name,
                    revision=revision.revision,
                    contract=msgspec.json.encode(revision.contract),
                    digest=revision.digest,
                    created_at=to_micros(revision.created_at),
                    created_by=revision.created_by,
                    note=revision.note,
                )
            )

    def contract(self, name: str) -> ContractRevision | None:
        """The contract in force."""
        found = self.contracts(name, 2**31 - 1, 1)
        return found[0] if found else None

    def contracts(self, name: str, before: int, limit: int) -> list[ContractRevision]:
        """Revisions below a number, greatest first."""
        query = (
            sa.select(contracts)
            .where(contracts.c.name == name, contracts.c.revision < before)
            .order_by(contracts.c.revision.desc())
            .limit(limit)
        )
        with self._catalog.connect() as connection:
            return [_revision(row) for row in connection.execute(query)]

    def version(self, name: str, number: int | None) -> DatasetVersion | None:
        """A version, the newest where no number is given."""
        if number is None:
            found = self.versions(name, 2**31 - 1, 1)
        elif not 0 < number < 2**31:
            return None  # a database would fail on what its column cannot hold
        else:
            found = self._versions(_HELD.where(versions.c.name == name, versions.c.number == number))
        return found[0] if found else None

    def with_digest(self, prefix: str, name: str | None = None) -> list[DatasetVersion]:
        """Of each of up to two digests that begin like this, the version that was first."""
        held = versions.c.digest.startswith(prefix, autoescape=True)
        if name is not None:
            held = sa.and_(held, versions.c.name == name)
        query = _HELD.where(held).order_by(versions.c.created_at, versions.c.name).limit(1)
        first = self._versions(query)
        return first + (self._versions(query.where(versions.c.digest != first[0].digest)) if first else [])

    def versions(self, name: str, before: int, limit: int) -> list[DatasetVersion]:
        """Versions below a number, greatest first."""
        query = _HELD.where(versions.c.name == name, versions.c.number < before)
        return self._versions(query.order_by(versions.c.number.desc()).limit(limit))

    def datasets(self, after: str, limit: int) -> list[Dataset]:
        """Datasets by name, after a name."""
        ends = (
            sa.select(
                versions.c.name,
                sa.func.max(versions.c.number).label("latest"),
                sa.func.min(versions.c.created_at).label("first_at"),
            )
            .where(versions.c.name > after)
            .group_by(versions.c.name)
            .order_by(versions.c.name)
            .limit(limit)
            .subquery()
        )
        newest = sa.and_(versions.c.name == ends.c.name, versions.c.number == ends.c.latest)
        query = sa.select(versions, ends.c.first_at).join(ends, newest).order_by(versions.c.name)
        with self._catalog.connect() as connection:
            return [
                Dataset(
                    name=row.name,
                    latest=row.number,
                    digest=row.digest,
                    rows=row.rows,
                    created_at=from_micros(row.first_at),
                    updated_at=from_micros(row.created_at),
                )
                for row in connection.execute(query)
            ]

    def _versions(self, query: sa.Select[tuple[object, ...]]) -> list[DatasetVersion]:
        with self._catalog.connect() as connection:
            return [_version(row) for row in connection.execute(query)]


def _version(row: sa.Row[tuple[object, ...]]) -> DatasetVersion:
    fields = dict(row._mapping)
    manifest = msgspec.json.decode(fields.pop("manifest"), type=Manifest)
    fields["contract"] = msgspec.json.decode(fields["contract"], type=Contract)
    fields["created_at"] = from_micros(fields["created_at"])
    return DatasetVersion(fragments=manifest.fragments, **fields)


def _revision(row: sa.Row[tuple[object, ...]]) -> ContractRevision:
    fields = dict(row._mapping)
    fields["contract"] = msgspec.json.decode(fields["contract"], type=Contract)
    fields["created_at"] = from_micros(fields["created_at"])
    return ContractRevision(**fields)
