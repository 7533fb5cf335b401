"""Operations that cross rooms: `why`, the status of the whole, and the tick of a simulated home."""

from tidegate.endpoints.service import Endpoints
from tidegate.incidents.service import Incidents
from tidegate.kernel.clock import BusinessClock, Instant
from tidegate.kernel.errors import Invalid
from tidegate.kernel.operation import Service, operation
from tidegate.lineage.records import Graph
from tidegate.loop import status, why
from tidegate.loop.records import Status, Ticked, Why
from tidegate.loop.retraining import Retraining
from tidegate.loop.ticking import Ticker
from tidegate.models.service import Models
from tidegate.monitors.service import Monitors
from tidegate.predictions.service import Predictions
from tidegate.rollouts.service import Rollouts
from tidegate.runs.service import Runs


class Loop(Service):
    """What crosses rooms: where a prediction came from, how all endpoints are doing, simulated time."""

    room = "loop"
    uses = ("endpoints", "incidents", "models", "monitors", "predictions", "retraining", "rollouts", "runs")
    _endpoints: Endpoints
    _incidents: Incidents
    _models: Models
    _monitors: Monitors
    _predictions: Predictions
    _retraining: Retraining
    _rollouts: Rollouts
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
        """Every endpoint: its live version, traffic, latency, quality, rollouts, episodes and incidents."""
        rooms = status.Rooms(
            endpoints=self._endpoints,
            monitors=self._monitors,
            rollouts=self._rollouts,
            incidents=self._incidents,
            retraining=self._retraining,
        )
        return status.survey(rooms, self._clock)

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
