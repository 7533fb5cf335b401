"""The rooms of a workspace, by name and as attributes."""

from collections.abc import Mapping
from typing import Self, TypeVar, cast

from tidegate.data.service import Data
from tidegate.endpoints.service import Endpoints
from tidegate.features.service import Features
from tidegate.gates.service import Gates
from tidegate.governance.approvals import Approvals
from tidegate.governance.audit import AuditLog
from tidegate.governance.people import People
from tidegate.incidents.service import Incidents
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.operation import Invoker, Service
from tidegate.loop.retraining import Retraining
from tidegate.loop.service import Loop
from tidegate.models.drafts import Drafts
from tidegate.models.service import Models
from tidegate.monitors.service import Monitors
from tidegate.pipelines.service import Pipelines
from tidegate.predictions.service import Predictions
from tidegate.rollouts.service import Rollouts
from tidegate.runs.experiments import Experiments
from tidegate.runs.service import Runs

S = TypeVar("S", bound=Service)

SERVICES: dict[str, type[Service]] = {
    service.room: service
    for service in (
        Data, Experiments, Runs, Features, Models, Drafts, Gates, Pipelines, Predictions, Endpoints, Monitors, Rollouts,
        Incidents, People, Approvals, AuditLog, Retraining, Loop,
    )
}  # fmt: skip
"""Every service by its room: attribute of the workspace, command group, collection in the path."""


class Workspace:
    """One home, opened: its rooms as attributes. Use it as a context manager, or `close` it."""

    def __init__(self, services: Mapping[str, Service], objects: ObjectPlane) -> None:
        self.services = dict(services)
        self.objects = objects

    def _room(self, kind: type[S]) -> S:
        return cast("S", self.services[kind.room])

    @property
    def data(self) -> Data:
        """Datasets."""
        return self._room(Data)

    @property
    def experiments(self) -> Experiments:
        """Groups of runs."""
        return self._room(Experiments)

    @property
    def runs(self) -> Runs:
        """Runs of experiments."""
        return self._room(Runs)

    @property
    def features(self) -> Features:
        """Feature views and services, training sets, the online store."""
        return self._room(Features)

    @property
    def models(self) -> Models:
        """Versions of models."""
        return self._room(Models)

    @property
    def drafts(self) -> Drafts:
        """Files of models that runs left."""
        return self._room(Drafts)

    @property
    def gates(self) -> Gates:
        """What a version must show."""
        return self._room(Gates)

    @property
    def pipelines(self) -> Pipelines:
        """Steps in order, each journaled."""
        return self._room(Pipelines)

    @property
    def predictions(self) -> Predictions:
        """The prediction log."""
        return self._room(Predictions)

    @property
    def endpoints(self) -> Endpoints:
        """Deployments and predictions."""
        return self._room(Endpoints)

    @property
    def monitors(self) -> Monitors:
        """Windows of quality."""
        return self._room(Monitors)

    @property
    def rollouts(self) -> Rollouts:
        """How canaries take over."""
        return self._room(Rollouts)

    @property
    def incidents(self) -> Incidents:
        """What a person ought to look at."""
        return self._room(Incidents)

    @property
    def people(self) -> People:
        """People, roles and tokens."""
        return self._room(People)

    @property
    def approvals(self) -> Approvals:
        """Four eyes."""
        return self._room(Approvals)

    @property
    def audit(self) -> AuditLog:
        """Who did what."""
        return self._room(AuditLog)

    @property
    def retraining(self) -> Retraining:
        """When models are trained anew."""
        return self._room(Retraining)

    @property
    def loop(self) -> Loop:
        """What crosses rooms: `why`, the status of the whole, the tick of a simulated home."""
        return self._room(Loop)

    def close(self) -> None:
        """Release connections and files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def equip(services: Mapping[str, Service], invoke: Invoker, objects: ObjectPlane) -> None:
    """Give every service what its operations and plain methods call: the invoker, the objects, its siblings."""
    for service in services.values():
        parts = vars(service)
        parts["_invoke"] = invoke
        parts["_objects"] = objects
        parts |= {f"_{room}": services[room] for room in type(service).uses}
