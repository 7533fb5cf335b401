"""The tables of endpoints and deployments."""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.endpoints.records import Deployment, Endpoint, Strategy
from tidegate.kernel.clock import from_micros, to_micros
from tidegate.models.signature import Label
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

endpoints = table(
    "endpoint",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("deployment", sa.String(32), nullable=True),
    sa.Column("task", sa.String(32), nullable=False),
    sa.Column("classes", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    room="endpoints",
)

deployments = table(
    "deployment",
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("endpoint", sa.String(128), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("strategy", sa.LargeBinary, nullable=False),
    sa.Column("variant", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("task", sa.String(32), nullable=False),
    sa.Column("classes", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Index("ix_deployment_endpoint", "endpoint", "created_at", "id"),
    room="endpoints",
)

_CLASSES = msgspec.json.Decoder(tuple[Label, ...])


class SqlEndpoints:
    """Endpoints and deployments in the catalog; also the source of the serving engine's routes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def pulse(self) -> object:
        """A value that changes whenever anybody commits."""
        return self._catalog.pulse()

    def live(self) -> list[Endpoint]:
        """Every endpoint that has a deployment to answer it."""
        return self._select(_joined().where(endpoints.c.deployment.is_not(None)).order_by(endpoints.c.name))

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of this name."""
        return next(iter(self._select(_joined().where(endpoints.c.name == name))), None)

    def claim(self, name: str) -> Endpoint | None:
        """The endpoint of this name, which nobody else changes until the ambient transaction ends."""
        self._catalog.serialise()
        return self.find(name)

    def page(self, after: str, limit: int) -> list[Endpoint]:
        """Endpoints by name, those after this one."""
        return self._select(_joined().where(endpoints.c.name > after).order_by(endpoints.c.name).limit(limit))

    def save(self, endpoint: Endpoint) -> None:
        """Write the endpoint's row, new or known."""
        changing = {
            "state": endpoint.state,
            "deployment": endpoint.live.id if endpoint.live is not None else None,
            "task": endpoint.task,
            "classes": msgspec.json.encode(endpoint.classes),
        }
        insert = self._catalog.insert(endpoints).values(
            name=endpoint.name, created_at=to_micros(endpoint.created_at), created_by=endpoint.by, **changing
        )
        with self._catalog.connect() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=[endpoints.c.name], set_=changing))

    def add(self, deployment: Deployment) -> None:
        """Add a deployment."""
        fields = {name: getattr(deployment, name) for name in _PLAIN}
        row = deployments.insert().values(
            **fields,
            strategy=msgspec.json.encode(deployment.strategy),
            classes=msgspec.json.encode(deployment.classes),
            created_at=to_micros(deployment.created_at),
            created_by=deployment.by,
        )
        with self._catalog.connect() as connection:
            connection.execute(row)

    def end(self, deployment_id: str, state: str) -> None:
        """Note that a deployment answers no more."""
        with self._catalog.connect() as connection:
            connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(state=state))

    def deployments(self, endpoint: str, before: tuple[datetime, str] | None, limit: int) -> list[Deployment]:
        """Deployments of an endpoint, newest first, those older than this one."""
        query = sa.select(deployments).where(deployments.c.endpoint == endpoint)
        if before is not None:
            moment, deployment_id = to_micros(before[0]), before[1]
            query = query.where(
                (deployments.c.created_at < moment)
                | ((deployments.c.created_at == moment) & (deployments.c.id < deployment_id))
            )
        query = query.order_by(deployments.c.created_at.desc(), deployments.c.id.desc()).limit(limit)
        with self._catalog.connect() as connection:
            return [_deployment(row._mapping) for row in connection.execute(query)]

    def _select(self, query: Any) -> list[Endpoint]:
        with self._catalog.connect() as connection:
            return [_endpoint(row) for row in connection.execute(query)]


_PLAIN = ("id", "endpoint", "model", "number", "digest", "variant", "state", "task")


def _joined() -> Any:
    both = endpoints.outerjoin(deployments, deployments.c.id == endpoints.c.deployment)
    mine = [endpoints.c[name] for name in ("name", "state", "task", "classes", "created_at", "created_by")]
    return sa.select(*mine, *(column.label(f"live_{column.name}") for column in deployments.c)).select_from(both)


def _endpoint(row: Any) -> Endpoint:
    fields = {column.name: getattr(row, f"live_{column.name}") for column in deployments.c}
    return Endpoint(
        name=row.name,
        state=row.state,
        live=_deployment(fields) if fields["id"] is not None else None,
        task=row.task,
        classes=_CLASSES.decode(row.classes),
        created_at=from_micros(row.created_at),
        by=row.created_by,
    )


def _deployment(row: Any) -> Deployment:
    return Deployment(
        **{name: row[name] for name in _PLAIN},
        strategy=msgspec.json.decode(row["strategy"], type=Strategy),
        classes=_CLASSES.decode(row["classes"]),
        created_at=from_micros(row["created_at"]),
        by=row["created_by"],
    )
