"""What `/metrics` shows: operations by code, and how long they took."""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tidegate.endpoints.meter import Surprise

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REGISTRY = CollectorRegistry()

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_CALLS = Counter("tidegate_operations_total", "Calls of operations.", ["operation", "code"], registry=REGISTRY)
_SECONDS = Histogram(
    "tidegate_operation_seconds", "How long calls took.", ["operation"], buckets=_BUCKETS, registry=REGISTRY
)


class PrometheusMeter:
    """Counts and times calls of operations; the labelled children are kept, since finding one costs more than it."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def observe(self, operation: str, code: str, seconds: float) -> None:
        """One call ended with this code."""
        counter = self._counters.get((operation, code))
        if counter is None:
            counter = self._counters[operation, code] = _CALLS.labels(operation, code)
        counter.inc()
        timer = self._timers.get(operation)
        if timer is None:
            timer = self._timers[operation] = _SECONDS.labels(operation)
        timer.observe(seconds)


_SERVED = Counter(
    "tidegate_endpoint_requests_total", "Requests to endpoints.", ["endpoint", "action", "code"], registry=REGISTRY
)
_SERVED_SECONDS = Histogram(
    "tidegate_endpoint_request_seconds",
    "How long requests to endpoints took, body and log included.",
    ["endpoint", "action"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)


_SURPRISES = {
    kind: Counter(f"tidegate_endpoint_{name}_total", told, ["endpoint", "feature"], registry=REGISTRY)
    for kind, name, told in (
        ("unknown", "unknown_categories", "Values, in rows that were answered, that are categories no model knows."),
        ("missing", "missing_features", "Values that were missing in rows that were answered."),
    )
}


class PrometheusServingMeter:
    """Counts and times requests to endpoints; on the hot path, so the labelled children are kept."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}

    def observe(self, endpoint: str, action: str, code: str, seconds: float) -> None:
        """One request ended. ``endpoint`` is empty where there is none of that name."""
        key = (endpoint, action, code)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = _SERVED.labels(*key)
        counter.inc()
        if code == "disconnected":
            return
        timer = self._timers.get(key[:2])
        if timer is None:
            timer = self._timers[key[:2]] = _SERVED_SECONDS.labels(*key[:2])
        timer.observe(seconds)

    def surprise(self, endpoint: str, kind: Surprise, feature: str, values: int) -> None:
        """So many values were unknown, or missing."""
        _SURPRISES[kind].labels(endpoint, feature).inc(values)


def exposition() -> bytes:
    """The text that Prometheus scrapes: of this process, or of all serving processes where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
