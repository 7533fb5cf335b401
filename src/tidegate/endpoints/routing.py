"""Which model answers which endpoint: a table in memory, replaced as a whole when the catalog changes."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from tidegate.endpoints.records import Deployment, Endpoint
from tidegate.endpoints.rules import canonical_classes
from tidegate.endpoints.variant import LiveVariant
from tidegate.kernel.clock import MachineClock
from tidegate.kernel.errors import NotFound, TidegateError, Unavailable
from tidegate.models.signature import Label

log = logging.getLogger("tidegate.endpoints")

CHECK_SECONDS: Final = 0.25
"""How often the catalog is asked whether anything changed."""

ALERT_SECONDS: Final = 2.0
"""How long after a deployment in this process every request asks the catalog, so that it is seen at once."""

RETRY_SECONDS: Final = 5.0
"""After how long a model that did not load is tried again."""

LOADING_FAULTS: Final = (
    TidegateError,
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a model may raise while it is loaded or warmed up: it must not stop the others."""


class Wishes(Protocol):
    """What the catalog wants to be served."""

    def pulse(self) -> object:
        """A value that changes whenever anybody commits."""
        ...

    def live(self) -> list[Endpoint]:
        """Every endpoint that has a deployment to answer it."""
        ...


class Route:
    """One endpoint as it is served: the stable variant, and beside it a canary with its share, and shadows."""

    __slots__ = ("canary", "classes", "endpoint", "plain", "shadows", "share", "slow", "stable")

    def __init__(
        self,
        endpoint: Endpoint,
        stable: LiveVariant,
        canary: LiveVariant | None = None,
        shadows: Sequence[LiveVariant] = (),
    ) -> None:
        wished = endpoint.canary
        self.endpoint = endpoint
        self.stable = stable
        self.canary = canary
        self.share = (wished.share or 0.0) / 100 if canary is not None and wished is not None else 0.0
        """The canary's part of the traffic, from 0 to 1."""
        self.shadows = tuple(shadows)
        self.classes: Mapping[Label, Label] = canonical_classes(endpoint.classes)
        self.plain = self.share == 0 and not self.shadows and stable.service is None
        """Whether the stable variant alone sees the rows, just as they came."""
        self.slow = any(variant.slow or variant.service is not None for variant in self.variants())

    def variants(self) -> tuple[LiveVariant, ...]:
        """All that are in memory."""
        return (self.stable, *((self.canary,) if self.canary is not None else ()), *self.shadows)


class RoutingTable:
    """Routes by endpoint. Thread-safe.

    Laws:

    1. **Whole.** A table is built aside and put in place by one assignment: no request sees half of a change.
    2. **At once.** An endpoint that is unknown is looked for in the catalog before `NotFound`; a deployment made in
       this process is seen by the next request, one made elsewhere after `CHECK_SECONDS`.
    3. **Steady.** A deployment whose model does not load leaves the earlier one answering, and is tried again; it
       never stops another endpoint. A canary or a shadow that does not load is left out until it does.
    """

    def __init__(self, wishes: Wishes, load: Callable[[Deployment], LiveVariant], machine: MachineClock) -> None:
        self._wishes = wishes
        self._load = load
        self._machine = machine
        self._table: dict[str, Route | Unavailable] = {}
        self._pulse: object = None
        self._lock = threading.Lock()
        self._alert_until = 0.0
        self._retry_at: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether the table was filled, and nothing is missing from it."""
        return self._pulse is not None and not any(isinstance(route, Unavailable) for route in self._table.values())

    def settled(self, name: str) -> bool:
        """Whether `find` answers from memory alone, so that it may be called on an event loop."""
        return self._thread is not None and name in self._table and self._machine.monotonic() >= self._alert_until

    def find(self, name: str) -> Route:
        """The route of an endpoint. Raises `NotFound`, and `Unavailable` when its model cannot be loaded."""
        if not self.settled(name):
            self.refresh()
        route = self._table.get(name)
        if route is None:
            raise NotFound(
                f"there is no live endpoint {name[:140]!r}; "
                "'tidegate endpoints list' shows those that there are, 'tidegate endpoints deploy' makes one",
                endpoint=name[:140],
            )
        if isinstance(route, Unavailable):
            raise Unavailable(route.message, **route.details)
        return route

    def at_hand(self, name: str) -> Route | None:
        """The route, where memory alone answers and the model is quick: for an event loop."""
        route = self._table.get(name)
        if isinstance(route, Route) and not route.slow and self.settled(name):
            return route
        return None

    def knows(self, name: str) -> bool:
        """Whether the endpoint is in the table."""
        return name in self._table

    def expect_change(self) -> None:
        """A transaction of this process is about to change what is served."""
        self._alert_until = self._machine.monotonic() + ALERT_SECONDS

    def refresh(self) -> None:
        """Bring the table up to date, if the catalog changed. Raises `Unavailable` when it does not answer."""
        with self._lock:
            pulse = self._wishes.pulse()
            retry = self._retry_at is not None and self._machine.monotonic() >= self._retry_at
            if pulse == self._pulse and not retry:
                return
            self._retry_at = None
            self._table = {endpoint.name: self._route(endpoint) for endpoint in self._wishes.live()}
            self._pulse = pulse

    def start(self) -> None:
        """Watch the catalog in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="endpoint-routing", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _route(self, endpoint: Endpoint) -> Route | Unavailable:
        wished = endpoint.live
        known = self._table.get(endpoint.name)
        served = known if isinstance(known, Route) else None
        if wished is None:
            raise ValueError(f"endpoint {endpoint.name} has no deployment")
        if served is not None and served.endpoint == endpoint and self._complete(served):
            return served
        canary = self._beside(endpoint.canary, served)
        shadows = [one for wish in endpoint.shadows if (one := self._beside(wish, served)) is not None]
        try:
            return Route(endpoint, _at_hand(wished, served) or self._load(wished), canary, shadows)
        except LOADING_FAULTS as error:
            self._note_failure(wished, error)
            if served is not None:
                return Route(endpoint, served.stable, canary, shadows)
            return Unavailable(
                f"endpoint {endpoint.name} cannot answer: {wished.version} does not load ({error}); deploy another "
                "version, or see the server's log",
                endpoint=endpoint.name,
                deployment=wished.id,
            )

    def _complete(self, route: Route) -> bool:
        """Whether everything that its endpoint wishes is in the route."""
        endpoint = route.endpoint
        wished = [one for one in (endpoint.live, endpoint.canary, *endpoint.shadows) if one is not None]
        return all(_at_hand(one, route) is not None for one in wished)

    def _beside(self, wished: Deployment | None, served: Route | None) -> LiveVariant | None:
        """A variant other than the stable one, which is done without while it does not load."""
        if wished is None:
            return None
        try:
            return _at_hand(wished, served) or self._load(wished)
        except Exception as error:  # noqa: BLE001 - the edge: whatever a model on trial raises, stable answers on
            self._note_failure(wished, error)
            return None

    def _note_failure(self, wished: Deployment, error: Exception) -> None:
        log.error("endpoint %s: deployment %s does not load", wished.endpoint, wished.id, exc_info=error)
        self._retry_at = self._machine.monotonic() + RETRY_SECONDS

    def _watch(self) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            try:
                self.refresh()
            except TidegateError as error:
                log.warning("routing was not refreshed: %s", error.message)
            except Exception:
                log.exception("routing was not refreshed by a fault of ours")


def _at_hand(wished: Deployment, served: Route | None) -> LiveVariant | None:
    """The deployment where a route has it in memory already, in the part that it is to play."""
    for variant in served.variants() if served is not None else ():
        if (variant.deployment.id, variant.deployment.variant) == (wished.id, wished.variant):
            return variant
    return None
