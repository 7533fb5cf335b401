"""A home opened in this process: every service with its store, on one storage, behind one dispatcher."""

import contextlib
import functools
from pathlib import Path

from tidegate.data.service import Data
from tidegate.data.store import SqlData
from tidegate.endpoints.engine import ServingEngine
from tidegate.endpoints.service import Endpoints
from tidegate.endpoints.store import SqlEndpoints
from tidegate.events.store import EventLog
from tidegate.gates.service import Gates
from tidegate.gates.store import SqlGates
from tidegate.governance.approvals import Approvals
from tidegate.governance.audit import AuditLog
from tidegate.governance.authority import PeopleAuthority
from tidegate.governance.people import People
from tidegate.governance.store import SqlAuditSource, SqlPeople
from tidegate.kernel.dispatch import Dispatcher, LocalInvoker, Meter, WireTransport
from tidegate.kernel.ids import random_id
from tidegate.kernel.operation import Service
from tidegate.kernel.settings import Settings
from tidegate.lineage.store import LineageGraph
from tidegate.loop.controllers import Controller, ControllerLoop
from tidegate.loop.service import Loop
from tidegate.models.service import Models
from tidegate.models.store import SqlModels
from tidegate.monitors.service import Monitors
from tidegate.monitors.store import SqlDrift, SqlMonitors
from tidegate.predictions.codecs import CODECS
from tidegate.predictions.log import PredictionLog
from tidegate.predictions.reading import PredictionReader
from tidegate.predictions.service import Predictions
from tidegate.runs.service import Runs
from tidegate.runs.store import SqlRuns
from tidegate.storage.opening import open_storage
from tidegate.workspace.remote import RemoteWorkspace
from tidegate.workspace.rooms import Workspace, equip


class NoMeter:
    """Counts nothing: an embedded home has nobody to show it to."""

    def observe(self, operation: str, code: str, seconds: float) -> None:
        """Nothing."""


class LocalWorkspace(Workspace):
    """The rooms of a home in this process, and the parts that servers and controllers are made of."""

    def __init__(
        self, settings: Settings, folder: Path, simulated_clock: bool | None = None, meter: Meter | None = None
    ) -> None:
        self.settings = settings
        self.storage = open_storage(settings, folder, simulated_clock)
        with contextlib.ExitStack() as undo:
            undo.callback(self.storage.catalog.close)
            self._compose(meter or NoMeter())
            undo.pop_all()

    def _compose(self, meter: Meter) -> None:
        storage = self.storage
        catalog, clock, ids = storage.catalog, storage.clock, storage.ids
        facts, graph = EventLog(catalog, clock, ids), LineageGraph(catalog)
        people_store = SqlPeople(catalog)
        self.authority = PeopleAuthority(people_store, storage.machine)
        self.dispatcher = Dispatcher(
            authority=self.authority,
            transactions=catalog,
            memory=storage.memory,
            audit=storage.audit,
            meter=meter,
            machine=storage.machine,
        )
        models = Models(
            store=SqlModels(catalog), objects=storage.objects, clock=clock, ids=ids, facts=facts, graph=graph
        )
        wishes = SqlEndpoints(catalog)
        # opened with the first prediction: a command that predicts nothing takes no writer's number
        self.log = PredictionLog(lambda: storage.writer(self.settings), clock)
        self.engine = ServingEngine(wishes=wishes, models=models, log=self.log, clock=clock, machine=storage.machine)
        self.controller_loop = ControllerLoop(self._build_controllers, storage.leases, storage.machine, random_id())
        services: list[Service] = [
            Data(store=SqlData(catalog), objects=storage.objects, clock=clock, ids=ids, facts=facts, graph=graph),
            Runs(store=SqlRuns(catalog), objects=storage.objects, clock=clock, ids=ids, facts=facts, graph=graph),
            models,
            Gates(store=SqlGates(catalog), clock=clock, ids=ids, facts=facts, graph=graph),
            Predictions(reader=PredictionReader(storage.journal_folder, storage.journal_index, storage.objects)),
            Endpoints(store=wishes, engine=self.engine, clock=clock, ids=ids, facts=facts, graph=graph),
            Monitors(
                store=SqlMonitors(catalog), drift=SqlDrift(catalog), objects=storage.objects, clock=clock, facts=facts
            ),
            People(
                store=people_store,
                transactions=catalog,
                audit=storage.audit,
                clock=clock,
                machine=storage.machine,
                ids=ids,
                facts=facts,
            ),
            Approvals(),
            AuditLog(source=SqlAuditSource(catalog, storage.audit)),
            Loop(clock=clock, graph=graph, controllers=self.controller_loop),
        ]
        super().__init__({service.room: service for service in services}, storage.objects)
        equip(self.services, LocalInvoker(self.dispatcher, self.settings.actor), self.objects)

    def _build_controllers(self) -> list[Controller]:
        """What happens by itself. Imported here: a process that only serves does without Polars."""
        from tidegate.loop.sealing import SealingController
        from tidegate.monitors.controller import QualityController
        from tidegate.monitors.drift_controller import DriftController

        storage = self.storage
        sealing = SealingController(
            storage.journal_folder,
            index=storage.journal_index,
            objects=storage.objects,
            codecs=CODECS,
            clock=storage.clock,
        )
        quality = QualityController(
            store=SqlMonitors(storage.catalog),
            folder=storage.journal_folder,
            index=storage.journal_index,
            objects=storage.objects,
            clock=storage.clock,
            machine=storage.machine,
        )
        drift = DriftController(
            store=SqlDrift(storage.catalog),
            log=quality,
            objects=storage.objects,
            clock=storage.clock,
            ids=storage.ids,
            facts=EventLog(storage.catalog, storage.clock, storage.ids),
        )
        return [
            Controller("sealing", sealing.step),
            Controller("quality", quality.step),
            Controller("drift", drift.step),
        ]

    @functools.cached_property
    def wire(self) -> Workspace:
        """The same home through encode, dispatch and decode: the wire without a network."""
        return RemoteWorkspace(WireTransport(self.dispatcher, self.services, self.settings.actor), self.objects)

    def check_ready(self) -> None:
        """Raises `Unavailable` when the catalog does not answer."""
        self.storage.catalog.pulse()

    def close(self) -> None:
        """Release connections and files."""
        self.engine.close()
        self.log.close()
        self.storage.catalog.close()
