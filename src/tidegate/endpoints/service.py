"""Deploying model versions behind endpoints, and asking them."""

from datetime import datetime
from typing import Any, Protocol

import msgspec

from tidegate.endpoints.engine import ServingEngine
from tidegate.endpoints.records import (
    Deployment,
    Endpoint,
    LabelsAnswer,
    OutcomeIn,
    PredictAnswer,
    Strategy,
)
from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, Instant, from_micros, to_micros
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, NotFound, Refused
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.names import check_name
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.lineage.records import Edge, Graph, Node
from tidegate.models.records import CHAMPION, ModelVersion
from tidegate.models.service import Models


class EndpointStore(Protocol):
    """Where endpoints and deployments are kept."""

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of this name."""
        ...

    def claim(self, name: str) -> Endpoint | None:
        """The endpoint of this name, which nobody else changes until the ambient transaction ends."""
        ...

    def page(self, after: str, limit: int) -> list[Endpoint]:
        """Endpoints by name, those after this one."""
        ...

    def save(self, endpoint: Endpoint) -> None:
        """Write the endpoint's row, new or known."""
        ...

    def add(self, deployment: Deployment) -> None:
        """Add a deployment."""
        ...

    def end(self, deployment_id: str, state: str) -> None:
        """Note that a deployment answers no more."""
        ...

    def deployments(self, endpoint: str, before: tuple[datetime, str] | None, limit: int) -> list[Deployment]:
        """Deployments of an endpoint, newest first, those older than this one."""
        ...


class Endpoints(Service):
    """Endpoints: the names under which predictions are asked for, and the model versions behind them."""

    room = "endpoints"
    uses = ("models",)
    _models: Models

    def __init__(
        self,
        *,
        store: EndpointStore,
        engine: ServingEngine,
        clock: BusinessClock,
        ids: IdFactory,
        facts: Facts,
        graph: Graph,
    ) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._ids = ids
        self._facts = facts
        self._graph = graph

    @operation("POST /endpoints/{name}/deployments", role="maintainer", audit="change")
    def deploy(self, name: str, version: str | ModelVersion, *, strategy: Strategy | None = None) -> Deployment:
        """Put a model version behind an endpoint, which is made where there is none.

        The version must be in stage production. All at once (the default) it takes over every request, and the
        model's alias `champion` moves to it. Deploying what is live already changes nothing.
        """
        check_name(name, "endpoint")
        chosen = self._resolve(version)
        if chosen.stage != "production":
            raise Refused(
                f"{chosen.reference} is in stage {chosen.stage}, and an endpoint serves stage production only: "
                f"'tidegate models promote {chosen.name} {chosen.number} --to production' says what is missing",
                version=chosen.reference,
                stage=chosen.stage,
            )
        strategy = strategy or Strategy()
        endpoint = self._store.claim(name)
        live = endpoint.live if endpoint is not None else None
        if live is not None and live.digest == chosen.digest and live.strategy == strategy:
            return live
        _check_same_task(endpoint, chosen)
        deployment = self._new_deployment(name, chosen, strategy)
        self._engine.routing.expect_change()
        self._take_over(endpoint, deployment)
        self._models.set_alias(chosen.name, CHAMPION, number=chosen.number)
        self._facts.append(
            "tidegate.endpoints.deployed",
            name,
            deployment=deployment.id,
            version=deployment.version,
            strategy=strategy.kind,
        )
        self._graph.add(
            Edge(Node("model", chosen.digest, deployment.version), Node("deployment", deployment.id, name), "serving")
        )
        return deployment

    @operation("POST /endpoints/{name}/retirement", role="maintainer", audit="change")
    def retire(self, name: str) -> Endpoint:
        """Take an endpoint out of service; its deployments, predictions and labels stay. Deploying revives it."""
        endpoint = self._store.claim(name)
        if endpoint is None:
            raise _unknown(name)
        if endpoint.live is None:
            return endpoint
        self._engine.routing.expect_change()
        retired = msgspec.structs.replace(endpoint, state="retired", live=None)
        self._store.end(endpoint.live.id, "retired")
        self._store.save(retired)
        self._facts.append("tidegate.endpoints.retired", name, deployment=endpoint.live.id)
        return retired

    @operation("GET /endpoints/{name}", role="viewer", audit="none")
    def get(self, name: str) -> Endpoint:
        """One endpoint, with the deployment that answers."""
        endpoint = self._store.find(name)
        if endpoint is None:
            raise _unknown(name)
        return endpoint

    @operation("GET /endpoints/{name}/deployments", role="viewer", audit="none")
    def deployments(self, name: str, *, limit: int = 100, cursor: str = "") -> Page[Deployment]:
        """Deployments of an endpoint, newest first."""
        key = decode_cursor(cursor, (int, str))
        before = (from_micros(key[0]), key[1]) if key else None
        found = self._store.deployments(name, before, page_size(limit) + 1)
        if not found and key is None and self._store.find(name) is None:
            raise _unknown(name)
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], encode_cursor(to_micros(last.created_at), last.id) if last else None)

    @operation("POST /endpoints/{name}/predict", role="contributor", audit="summary", transaction=False)
    def predict(self, name: str, rows: list[dict[str, Any]], *, at: list[Instant] | None = None) -> PredictAnswer:
        """Answer rows with the endpoint's model, validated against its signature and logged.

        `at` is the business time of each row, now by default. Unknown categories and missing features are served or
        refused as the model's signature says.
        """
        return PredictAnswer(self._engine.predict(name, rows, at))

    @operation("POST /endpoints/{name}/labels", role="contributor", audit="summary", transaction=False)
    def labels(self, name: str, labels: list[OutcomeIn]) -> LabelsAnswer:
        """Tell what became of predictions: all labels are taken, or none."""
        return self._engine.label(name, labels)

    def _resolve(self, version: str | ModelVersion) -> ModelVersion:
        if isinstance(version, str):
            return self._models.resolve(version)
        found = self._models.get(version.name, version.number)
        if found.digest != version.digest:
            raise Conflict(
                f"{version.reference} is another version in this home (digest {found.digest[:12]}, given "
                f"{version.digest[:12]}): name the version by its reference"
            )
        return found

    def _new_deployment(self, name: str, version: ModelVersion, strategy: Strategy) -> Deployment:
        now = self._clock.now()
        return Deployment(
            id=self._ids.new(now),
            endpoint=name,
            model=version.name,
            number=version.number,
            digest=version.digest,
            strategy=strategy,
            task=version.signature.task,
            classes=version.signature.classes,
            created_at=now,
            by=actor(),
        )

    def _take_over(self, endpoint: Endpoint | None, deployment: Deployment) -> None:
        """Make the deployment the one that answers."""
        known = endpoint.classes if endpoint is not None else ()
        if endpoint is not None and endpoint.live is not None:
            self._store.end(endpoint.live.id, "replaced")
        self._store.add(deployment)
        self._store.save(
            Endpoint(
                name=deployment.endpoint,
                state="live",
                live=deployment,
                task=deployment.task,
                classes=tuple(dict.fromkeys((*known, *deployment.classes))),
                created_at=endpoint.created_at if endpoint is not None else deployment.created_at,
                by=endpoint.by if endpoint is not None else deployment.by,
            )
        )

    @operation("GET /endpoints", role="viewer", audit="none")
    def list(self, *, limit: int = 100, cursor: str = "") -> Page[Endpoint]:
        """Endpoints, by name."""
        after = decode_cursor(cursor, (str,))
        found = self._store.page(after[0] if after else "", page_size(limit) + 1)
        more = len(found) > limit
        return Page(found[:limit], encode_cursor(found[limit - 1].name) if more else None)


def _check_same_task(endpoint: Endpoint | None, version: ModelVersion) -> None:
    task = version.signature.task
    if endpoint is not None and endpoint.task != task:
        raise Refused(
            f"endpoint {endpoint.name} answers a {endpoint.task} and {version.reference} is a {task}: its labels would "
            "mix; deploy it behind another endpoint",
            endpoint=endpoint.name,
            version=version.reference,
        )


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"there is no endpoint {name[:140]!r}; 'tidegate endpoints list' shows those that there are",
        endpoint=name[:140],
    )
