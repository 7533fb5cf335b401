"""What a rollout does to an endpoint: its canary's share, promotion, and the way back.

Each method belongs inside a transaction of the catalog, with everything else that is decided at the same moment.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from tidegate.endpoints.records import Deployment, DeploymentState, Endpoint, Variant
from tidegate.kernel.errors import Conflict
from tidegate.models.records import CHAMPION
from tidegate.models.service import Models


class Places(Protocol):
    """Where endpoints and deployments are kept."""

    def claim(self, name: str) -> Endpoint | None:
        """The endpoint of this name, which nobody else changes until the ambient transaction ends."""
        ...

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of this name."""
        ...

    def save(self, endpoint: Endpoint) -> None:
        """Write the endpoint's row."""
        ...

    def end(self, deployment_id: str, state: DeploymentState) -> None:
        """Note that a deployment answers no more, and why."""
        ...

    def place(self, deployment_id: str, variant: Variant, share: float | None) -> None:
        """Give a deployment its place."""
        ...

    def canaries(self) -> list[Deployment]:
        """Every canary that is live, oldest first."""
        ...


class Moves:
    """Moves canaries. Serving processes of other machines see a move within `routing.CHECK_SECONDS`, this one at once.

    Laws:

    1. **Only the canary.** A deployment that is not its endpoint's live canary any more is not moved: `Conflict`.
    2. **Whole.** A promotion moves the deployment, ends the old stable one and points the alias `champion` in one
       transaction.
    """

    def __init__(self, store: Places, models: Models, expect_change: Callable[[], None]) -> None:
        self._store = store
        self._models = models
        self._expect_change = expect_change

    def canaries(self) -> list[Deployment]:
        """Every canary that is live, oldest first: what people wish to be rolled out."""
        return self._store.canaries()

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of this name."""
        return self._store.find(name)

    def give(self, canary: Deployment, share: float) -> None:
        """Let the canary answer so many percent of the traffic."""
        self._claim(canary)
        self._store.place(canary.id, "canary", share)

    def promote(self, canary: Deployment) -> None:
        """Make the canary the stable deployment; the old one is replaced, and the alias `champion` moves."""
        endpoint = self._claim(canary)
        if endpoint.live is not None:
            self._store.end(endpoint.live.id, "replaced")
        self._store.place(canary.id, "stable", None)
        stable = msgspec.structs.replace(canary, variant="stable", share=None)
        self._store.save(msgspec.structs.replace(endpoint, live=stable, canary=None))
        self._models.set_alias(canary.model, CHAMPION, number=canary.number)

    def end(self, canary: Deployment, state: DeploymentState) -> None:
        """Take the canary's traffic back at once; stable answers on."""
        self._claim(canary)
        self._store.place(canary.id, "canary", 0.0)
        self._store.end(canary.id, state)

    def _claim(self, canary: Deployment) -> Endpoint:
        endpoint = self._store.claim(canary.endpoint)
        if endpoint is None or endpoint.canary is None or endpoint.canary.id != canary.id:
            raise Conflict(
                f"{canary.version} is not the canary of endpoint {canary.endpoint} any more: nothing was changed",
                deployment=canary.id,
            )
        self._expect_change()
        return endpoint
