"""Operations that cross rooms: `why`, the status of the whole, and the tick of a simulated home."""

from tidegate.endpoints.service import Endpoints
from tidegate.kernel.clock import BusinessClock, Instant
from tidegate.kernel.errors import Invalid
from tidegate.kernel.operation import Service, operation
from tidegate.lineage.records import Graph
from tidegate.loop import status, why
from tidegate.loop.records import Status, Ticked, Why
from tidegate.loop.ticking import Ticker
from tidegate.models.service import Models
from tidegate.monitors.service import Monitors
from tidegate.predictions.service import Predictions
from tidegate.runs.service import Runs


class Loop(Service):
    """What crosses rooms: where a prediction came from, how all endpoints are doing, simulated time."""

    room = "loop"
    uses = ("endpoints", "models", "monitors", "predictions", "runs")
    _endpoints: Endpoints
    _models: Models
    _monitors: Monitors
    _predictions: Predictions
    _runs: Runs

    def __init__(self, *, clock: BusinessClock, graph: Graph, ticker: Ticker) -> None:
        self._clock = clock
        self._graph = graph
        self._ticker = ticker

    @operation("GET /why/{prediction_id}", role="viewer", audit="none")
    def why(self, prediction_id: str) -> Why:
        """Walk back from a prediction: deployment, model version, run, code, data by digest, gates, approvers."""
        sources = why.Sources(
            predictions=self._predictions,
            endpoints=self._endpoints,
            models=self._models,
            runs=self._runs,
            graph=self._graph,
        )
        return why.walk(sources, prediction_id)

    @operation("GET /status", role="viewer", audit="none")
    def status(self) -> Status:
        """Every endpoint: its live version, traffic, latency and quality; those that need attention first."""
        simulated = hasattr(self._clock, "advance")
        endpoints = status.survey(self._endpoints, self._monitors)
        return Status(now=self._clock.now(), simulated_clock=simulated, endpoints=endpoints)

    @operation("POST /tick", role="maintainer", audit="summary", transaction=False)
    def tick(self, until: Instant | None = None) -> Ticked:
        """Run the controllers until nothing is due; in a simulated home, move business time to ``until`` first.

        A server's controller process does it. Raises `Conflict` where the controllers run anyway: in a real home with a
        server, or while another process ticks.
        """
        if until is not None:
            advance = getattr(self._clock, "advance", None)
            if advance is None:
                raise Invalid("only a home that was created with a simulated clock can be told the time", field="until")
            advance(until)
        steps = self._ticker.until_idle()
        return Ticked(now=self._clock.now(), steps=steps)
