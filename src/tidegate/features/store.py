"""The tables of features: immutable versions of views and services."""

from typing import Any, NamedTuple

import sqlalchemy as sa

from tidegate.features.records import AppliedService, ServiceSummary, ViewVersion
from tidegate.kernel import wire
from tidegate.kernel.clock import from_micros, to_micros
from tidegate.kernel.errors import NotFound
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

services = table(
    "feature_service",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    room="features",
)

views = table(
    "feature_view",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("record", sa.LargeBinary, nullable=False),
    room="features",
)

_LAST = 2**31 - 1

_VERSIONS = sa.select(views.c.record).where(views.c.name == sa.bindparam("asked")).order_by(views.c.number.desc())
_COUNT = sa.select(sa.func.count().label("inserted")).select_from(views)


class _Seen(NamedTuple):
    """The versions of views that were read while so many had been inserted in all."""

    pulse: object
    inserted: int
    versions: dict[str, list[ViewVersion]]


class SqlFeatures:
    """Views and services in the catalog. Keeps the laws of `FeatureStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._seen = _Seen(None, 0, {})
        self._inserted = catalog.query(_COUNT)

    def hold(self) -> None:
        """Keep other writers out until the transaction ends."""
        self._catalog.serialise()

    def add_service(self, service: AppliedService) -> None:
        """Insert a version of a service."""
        self._insert(
            services,
            name=service.name,
            number=service.number,
            digest=service.digest,
            created_at=to_micros(service.created_at),
            record=wire.encode(service, AppliedService),
        )

    def add_view(self, view: ViewVersion) -> None:
        """Insert a version of a view."""
        record = wire.encode(view, ViewVersion)
        self._insert(views, name=view.name, number=view.number, digest=view.digest, record=record)

    def service(self, name: str, number: int | None) -> AppliedService | None:
        """A version of a service, the newest where no number is given."""
        if number is not None and not 0 < number <= _LAST:
            return None  # a database would fail on what its column cannot hold
        query = sa.select(services.c.record).where(services.c.name == name)
        if number is not None:
            query = query.where(services.c.number == number)
        found: list[AppliedService] = self._records(query.order_by(services.c.number.desc()).limit(1), AppliedService)
        return found[0] if found else None

    def with_digest(self, prefix: str) -> list[AppliedService]:
        """Up to two versions whose digests begin like this."""
        query = sa.select(services.c.record).where(services.c.digest.startswith(prefix, autoescape=True))
        return self._records(query.order_by(services.c.digest).limit(2), AppliedService)

    def by_digest(self, digest: str) -> AppliedService:
        """The version with this digest. Raises `NotFound`."""
        found = self.with_digest(digest)
        if not found or found[0].digest != digest:
            raise NotFound(f"there is no feature service with the digest {digest[:80]!r}: features.apply makes one")
        return found[0]

    def view(self, digest: str) -> ViewVersion | None:
        """The version of a view with this digest."""
        query = sa.select(views.c.record).where(views.c.digest == digest)
        found: list[ViewVersion] = self._records(query, ViewVersion)
        return found[0] if found else None

    def view_versions(self, name: str) -> list[ViewVersion]:
        """Every version of a view, newest first.

        Every push asks. What never changes is read once: while there are as many versions as before, they are the same.
        """
        pulse = self._catalog.quick_pulse()  # before the look, so that what was seen is as new as that, or newer
        if pulse is None:
            return self._records(_VERSIONS, ViewVersion, asked=name)
        seen = self._seen
        if seen.pulse != pulse:
            [(inserted,)] = self._inserted()
            seen = self._seen = _Seen(pulse, inserted, seen.versions if inserted == seen.inserted else {})
        found = seen.versions.get(name)
        if found is None:
            found = self._records(_VERSIONS, ViewVersion, asked=name)
            if found:
                seen.versions[name] = found
        return found

    def views(self, after: tuple[str, int], limit: int) -> list[ViewVersion]:
        """Versions of views by name and number, after these."""
        key = sa.tuple_(views.c.name, views.c.number)
        query = sa.select(views.c.record).where(key > sa.tuple_(*map(sa.literal, after)))
        return self._records(query.order_by(views.c.name, views.c.number).limit(limit), ViewVersion)

    def summaries(self, after: str, limit: int) -> list[ServiceSummary]:
        """The newest version of each service, by name, after a name."""
        newest = (
            sa.select(services.c.name, sa.func.max(services.c.number).label("number"))
            .where(services.c.name > after)
            .group_by(services.c.name)
            .order_by(services.c.name)
            .limit(limit)
            .subquery()
        )
        same = sa.and_(services.c.name == newest.c.name, services.c.number == newest.c.number)
        chosen = sa.select(services.c.name, services.c.number, services.c.digest, services.c.created_at)
        query = chosen.join(newest, same).order_by(services.c.name)
        with self._catalog.connect() as connection:
            return [
                ServiceSummary(
                    name=row.name, latest=row.number, digest=row.digest, created_at=from_micros(row.created_at)
                )
                for row in connection.execute(query)
            ]

    def _insert(self, into: sa.Table, **values: object) -> None:
        with self._catalog.connect() as connection:
            connection.execute(into.insert().values(**values))

    def _records(self, query: sa.Select[Any], kind: Any, **values: object) -> list[Any]:
        with self._catalog.connect() as connection:
            found = connection.execute(query, values).scalars()
            return [wire.decode(raw, kind, "row of the catalog") for raw in found]
