"""What a run is told, checked and written: all of it or nothing, inside one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import msgspec

from tidegate.kernel.clock import BusinessClock, utc
from tidegate.kernel.errors import Invalid
from tidegate.kernel.objects import ObjectPlane, parse_digest
from tidegate.lineage.records import Edge, Graph, Node
from tidegate.runs.records import Artifact, Metric, Run, RunInput, Value
from tidegate.runs.rules import (
    check_artifact_name,
    check_foreign,
    check_kept,
    check_metrics,
    check_params,
    check_tags,
    code_label,
    environment_label,
)


class Told(NamedTuple):
    """What is to be written. ``inputs`` are dataset versions of ours, ``foreign`` datasets of other tools."""

    params: Mapping[str, Value] = {}
    metrics: tuple[Metric, ...] = ()
    tags: Mapping[str, str] = {}
    inputs: tuple[RunInput, ...] = ()
    foreign: tuple[RunInput, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


class ToldRows(Protocol):
    """The rows that runs are told in; `RunStore` has the laws."""

    def add_params(self, run_id: str, params: Mapping[str, Value]) -> dict[str, Value]:
        """Keep those that are new; returns the values kept of all that were given."""
        ...

    def add_metrics(self, run_id: str, metrics: Iterable[Metric]) -> None:
        """Add to the history and to the latest values."""
        ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    def add_inputs(self, run_id: str, inputs: Iterable[RunInput]) -> None:
        """Add inputs; adding one twice is harmless."""
        ...

    def set_artifacts(self, run_id: str, artifacts: Sequence[Artifact]) -> None:
        """Set artifacts by name, and hold their objects."""
        ...


class RunWriter:
    """Writes what runs are told, and what went into them."""

    def __init__(self, store: ToldRows, objects: ObjectPlane, clock: BusinessClock, graph: Graph) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._graph = graph

    def write(self, run_id: str, told: Told) -> None:
        """Write it. Raises `Invalid` for what cannot be kept, `Conflict` for a parameter that has another value."""
        check_params(told.params)
        check_metrics(told.metrics)
        check_tags(told.tags)
        check_foreign(told.foreign)
        for artifact in told.artifacts:
            check_artifact_name(artifact.name)
            parse_digest(artifact.digest, f"artifact {artifact.name!r}")
        check_kept(run_id, told.params, self._store.add_params(run_id, told.params))
        if told.metrics:
            now = self._clock.now()
            self._store.add_metrics(run_id, [_dated(metric, now) for metric in told.metrics])
        self._store.set_tags(run_id, told.tags)
        self._store.add_inputs(run_id, [*told.inputs, *told.foreign])
        for one in told.inputs:
            self._graph.add(Edge(Node("dataset", one.digest, one.label), Node("run", run_id), "input"))
        self._store.set_artifacts(run_id, told.artifacts)
        for artifact in told.artifacts:  # now that they are held, nobody takes them away after this look
            self._require_object(artifact)

    def link(self, run: Run) -> None:
        """Note which code and which environment made a run."""
        node = Node("run", run.id, run.experiment)
        if run.code.key is not None:
            self._graph.add(Edge(Node("code", run.code.key, code_label(run)), node, "code"))
        if run.environment is not None:
            source = Node("environment", run.environment.packages_digest, environment_label(run))
            self._graph.add(Edge(source, node, "environment"))

    def _require_object(self, artifact: Artifact) -> None:
        if artifact.bytes < 0 or not self._objects.exists(artifact.digest):
            raise Invalid(f"artifact {artifact.name!r}: its object is not stored: put it first", digest=artifact.digest)


def _dated(metric: Metric, now: datetime) -> Metric:
    if metric.at is not None and metric.at.tzinfo is UTC:
        return metric
    return msgspec.structs.replace(metric, at=now if metric.at is None else utc(metric.at))
