"""The tables of endpoints and deployments."""

from typing import Any

import msgspec
import sqlalchemy as sa

from tidegate.endpoints.records import Deployment, DeploymentState, Endpoint, Strategy, Variant
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
    sa.Column("outcome_independent", sa.Boolean, nullable=True),
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
    sa.Column("share", sa.Float(53), nullable=True),
    sa.Index("ix_deployment_endpoint", "endpoint", "created_at", "id"),
    sa.Index("ix_deployment_variant", "state", "variant"),
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
        return next(iter(self._select(_NAMED, name=name)), None)

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
            "outcome_independent": endpoint.outcome_independent,
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

    def end(self, deployment_id: str, state: DeploymentState) -> None:
        """Note that a deployment answers no more, and why."""
        with self._catalog.connect() as connection:
            connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(state=state))

    def place(self, deployment_id: str, variant: Variant, share: float | None) -> None:
        """Give a deployment its place: which variant it is, and a canary's percentage of the traffic."""
        changed = deployments.update().where(deployments.c.id == deployment_id).values(variant=variant, share=share)
        with self._catalog.connect() as connection:
            connection.execute(changed)

    def canaries(self) -> list[Deployment]:
        """Every canary that is live, oldest first."""
        with self._catalog.connect() as connection:
            return _read(connection, _CANARIES)

    def deployments(self, endpoint: str, before: tuple[int, str] | None, limit: int) -> list[Deployment]:
        """Deployments of an endpoint, newest first, those older than this instant (in microseconds) and id."""
        query = sa.select(deployments).where(deployments.c.endpoint == endpoint)
        if before is not None:
            moment, deployment_id = before
            query = query.where(
                (deployments.c.created_at < moment)
                | ((deployments.c.created_at == moment) & (deployments.c.id < deployment_id))
            )
        query = query.order_by(deployments.c.created_at.desc(), deployments.c.id.desc()).limit(limit)
        with self._catalog.connect() as connection:
            return [_deployment(row._mapping) for row in connection.execute(query)]

    def _select(self, query: Any, **values: object) -> list[Endpoint]:
        with self._catalog.connect() as connection:
            found = [_endpoint(row) for row in connection.execute(query, values)]
            names = [endpoint.name for endpoint in found if endpoint.live is not None]
            beside = _read(connection, _BESIDE, names=names) if names else []
        return [_with_variants(endpoint, beside) for endpoint in found] if beside else found


_PLAIN = ("id", "endpoint", "model", "number", "digest", "variant", "state", "share", "task")


def _read(connection: sa.Connection, query: Any, **values: object) -> list[Deployment]:
    return [_deployment(row._mapping) for row in connection.execute(query, values)]


def _with_variants(endpoint: Endpoint, beside: list[Deployment]) -> Endpoint:
    mine = [deployment for deployment in beside if deployment.endpoint == endpoint.name]
    canary = next((deployment for deployment in mine if deployment.variant == "canary"), None)
    shadows = tuple(deployment for deployment in mine if deployment.variant == "shadow")
    return msgspec.structs.replace(endpoint, canary=canary, shadows=shadows)


def _joined() -> Any:
    both = endpoints.outerjoin(deployments, deployments.c.id == endpoints.c.deployment)
    names = ("name", "state", "task", "classes", "created_at", "created_by", "outcome_independent")
    mine = [endpoints.c[name] for name in names]
    return sa.select(*mine, *(column.label(f"live_{column.name}") for column in deployments.c)).select_from(both)


# Asked at every step of a controller, so built once.
_NAMED = _joined().where(endpoints.c.name == sa.bindparam("name"))
_LIVE = sa.select(deployments).where(deployments.c.state == "live")
_LIVE = _LIVE.order_by(deployments.c.created_at, deployments.c.id)
_CANARIES = _LIVE.where(deployments.c.variant == "canary")
_BESIDE = _LIVE.where(
    deployments.c.variant.in_(("canary", "shadow")), deployments.c.endpoint.in_(sa.bindparam("names", expanding=True))
)


def _endpoint(row: Any) -> Endpoint:
    fields = {column.name: getattr(row, f"live_{column.name}") for column in deployments.c}
    return Endpoint(
        name=row.name,
        state=row.state,
        live=_deployment(fields) if fields["id"] is not None else None,
        task=row.task,
        outcome_independent=bool(row.outcome_independent),
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
