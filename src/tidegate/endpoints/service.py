"""Deploying model versions behind endpoints, and asking them."""

from typing import Any, Protocol

import msgspec

from tidegate.endpoints import rules
from tidegate.endpoints.engine import ServingEngine
from tidegate.endpoints.records import (
    Deployment,
    DeploymentState,
    Endpoint,
    LabelsAnswer,
    OutcomeIn,
    PredictAnswer,
    Strategy,
)
from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, Instant, to_micros
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

    def end(self, deployment_id: str, state: DeploymentState) -> None:
        """Note that a deployment answers no more, and why."""
        ...

    def deployments(self, endpoint: str, before: tuple[int, str] | None, limit: int) -> list[Deployment]:
        """Deployments of an endpoint, newest first, those older than this instant (in microseconds) and id."""
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
    def deploy(
        self,
        name: str,
        version: str | ModelVersion,
        *,
        strategy: Strategy | None = None,
        outcome_independent: bool | None = None,
    ) -> Deployment:
        """Put a model version behind an endpoint, which is made where there is none.

        The version must be in stage production. All at once (the default, and always where nothing is live yet) it
        takes over every request, and the model's alias `champion` moves to it. As a canary it waits for its rollout,
        which gives it a share of the traffic step by step; as a shadow it scores every row and never answers.
        `outcome_independent` declares of the endpoint that what happens does not depend on what was predicted.
        Deploying what is live already changes nothing. Raises `Refused` while a canary is running.
        """
        check_name(name, "endpoint")
        strategy = rules.check_strategy(strategy or Strategy())
        chosen = self._resolve(version)
        if chosen.stage != "production":
            raise Refused(
                f"{chosen.reference} is in stage {chosen.stage}, and an endpoint serves stage production only: "
                f"'tidegate models promote {chosen.name} {chosen.number} --to production' says what is missing",
                version=chosen.reference,
                stage=chosen.stage,
            )
        endpoint = self._store.claim(name)
        known = rules.deployed_already(endpoint, chosen.digest, strategy)
        if known is not None and outcome_independent in (None, endpoint and endpoint.outcome_independent):
            return known
        rules.check_deployable(name, endpoint, chosen, strategy, outcome_independent)
        self._models.require_loadable(chosen)
        deployment = known or self._new_deployment(endpoint, name, chosen, strategy)
        self._engine.routing.expect_change()
        self._put(endpoint, deployment, outcome_independent, new=known is None)
        if known is None:
            self._tell(deployment, chosen)
        return deployment

    @operation("POST /endpoints/{name}/withdrawal", role="maintainer", audit="change")
    def withdraw(self, name: str, *, deployment: str) -> Deployment:
        """Take back a canary or a shadow, named by its deployment's id or its version, such as `late-arrival/4`.

        Stable answers on. The rollout of a canary is cancelled.
        """
        endpoint = self._store.claim(name)
        if endpoint is None:
            raise _unknown(name)
        beside = [*endpoint.shadows, *((endpoint.canary,) if endpoint.canary is not None else ())]
        found = [one for one in beside if deployment in (one.id, one.version)]
        if len(found) != 1:
            listed = ", ".join(f"{one.variant} {one.version} ({one.id})" for one in beside) or "none"
            raise NotFound(
                f"{deployment[:140]!r} names {len(found)} canaries or shadows of endpoint {name}; there are: {listed}. "
                "'tidegate endpoints retire' takes the whole endpoint out of service",
                endpoint=name,
            )
        self._engine.routing.expect_change()
        self._store.end(found[0].id, "withdrawn")
        self._facts.append("tidegate.endpoints.withdrawn", name, deployment=found[0].id, version=found[0].version)
        withdrawn: Deployment = msgspec.structs.replace(found[0], state="withdrawn")
        return withdrawn

    @operation("POST /endpoints/{name}/retirement", role="maintainer", audit="change")
    def retire(self, name: str) -> Endpoint:
        """Take an endpoint out of service; its deployments, predictions and labels stay. Deploying revives it."""
        endpoint = self._store.claim(name)
        if endpoint is None:
            raise _unknown(name)
        if endpoint.live is None:
            return endpoint
        self._engine.routing.expect_change()
        retired = msgspec.structs.replace(endpoint, state="retired", live=None, canary=None, shadows=())
        beside = (endpoint.canary,) if endpoint.canary is not None else ()
        for deployment in (endpoint.live, *beside, *endpoint.shadows):
            self._store.end(deployment.id, "retired")
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
        before = decode_cursor(cursor, (int, str))
        found = self._store.deployments(name, before, page_size(limit) + 1)
        if not found and before is None and self._store.find(name) is None:
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
        """Tell what became of predictions: all labels are taken, or none.

        Whether a prediction exists is not looked up, since that would read the log, and a label may come first:
        `status` and the windows of `monitors` count the labels whose predictions nobody has seen.
        """
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

    def _new_deployment(
        self, endpoint: Endpoint | None, name: str, version: ModelVersion, strategy: Strategy
    ) -> Deployment:
        now = self._clock.now()
        variant = rules.first_variant(endpoint, strategy)
        return Deployment(
            id=self._ids.new(now),
            endpoint=name,
            model=version.name,
            number=version.number,
            digest=version.digest,
            strategy=strategy,
            variant=variant,
            share=0.0 if variant == "canary" else None,
            task=version.signature.task,
            classes=version.signature.classes,
            created_at=now,
            by=actor(),
        )

    def _put(
        self, endpoint: Endpoint | None, deployment: Deployment, outcome_independent: bool | None, *, new: bool
    ) -> None:
        """Write the deployment, where it is new, and the endpoint as it is with it."""
        before = endpoint or Endpoint(
            name=deployment.endpoint,
            state="live",
            live=None,
            task=deployment.task,
            created_at=deployment.created_at,
            by=deployment.by,
        )
        live = deployment if deployment.variant == "stable" else before.live
        if new:
            if before.live is not None and live is not before.live:
                self._store.end(before.live.id, "replaced")
            self._store.add(deployment)
        declared = before.outcome_independent if outcome_independent is None else outcome_independent
        classes = tuple(dict.fromkeys((*before.classes, *deployment.classes)))
        self._store.save(
            msgspec.structs.replace(before, state="live", live=live, classes=classes, outcome_independent=declared)
        )

    def _tell(self, deployment: Deployment, version: ModelVersion) -> None:
        """Move the champion where the deployment is the one that answers; note the fact, and the edge."""
        if deployment.variant == "stable":
            self._models.set_alias(version.name, CHAMPION, number=version.number)
        self._facts.append(
            "tidegate.endpoints.deployed",
            deployment.endpoint,
            deployment=deployment.id,
            version=deployment.version,
            strategy=deployment.strategy.kind,
            variant=deployment.variant,
        )
        node = Node("deployment", deployment.id, deployment.endpoint)
        self._graph.add(Edge(Node("model", version.digest, deployment.version), node, "serving"))

    @operation("GET /endpoints", role="viewer", audit="none")
    def list(self, *, limit: int = 100, cursor: str = "") -> Page[Endpoint]:
        """Endpoints, by name."""
        after = decode_cursor(cursor, (str,))
        found = self._store.page(after[0] if after else "", page_size(limit) + 1)
        more = len(found) > limit
        return Page(found[:limit], encode_cursor(found[limit - 1].name) if more else None)


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"there is no endpoint {name[:140]!r}; 'tidegate endpoints list' shows those that there are",
        endpoint=name[:140],
    )
