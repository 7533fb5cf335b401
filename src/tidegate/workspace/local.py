"""A home opened in this process: every service with its store, on one storage, behind one dispatcher."""

import contextlib
import functools
from pathlib import Path
from typing import Literal

import msgspec

from tidegate.data.service import Data
from tidegate.data.store import SqlData
from tidegate.endpoints.engine import ServingEngine
from tidegate.endpoints.moves import Moves
from tidegate.endpoints.service import Endpoints
from tidegate.endpoints.store import SqlEndpoints
from tidegate.events.store import EventLog
from tidegate.features.entities import Entities
from tidegate.features.lookup import OnlineLookup
from tidegate.features.online_sqlite import SqliteOnlineStore
from tidegate.features.service import Features
from tidegate.features.store import SqlFeatures
from tidegate.features.writing import OnlineWriter
from tidegate.gates.service import Gates
from tidegate.gates.store import SqlGates
from tidegate.governance.approvals import Approvals
from tidegate.governance.audit import AuditLog
from tidegate.governance.authority import PeopleAuthority
from tidegate.governance.people import People
from tidegate.governance.store import SqlAuditSource, SqlPeople
from tidegate.incidents.book import IncidentBook
from tidegate.incidents.service import Incidents
from tidegate.incidents.store import SqlIncidents
from tidegate.kernel.dispatch import Dispatcher, LocalInvoker, Meter, WireTransport
from tidegate.kernel.ids import random_id
from tidegate.kernel.operation import Service
from tidegate.kernel.settings import Settings
from tidegate.lineage.store import LineageGraph
from tidegate.loop.controllers import Controller, ControllerLoop
from tidegate.loop.retraining import Retraining
from tidegate.loop.service import Loop
from tidegate.loop.situation import Witness
from tidegate.loop.store import SqlRetraining, SqlTicks
from tidegate.loop.ticking import DelegatedTick, TickDesk, Ticker
from tidegate.models.draft_store import SqlDrafts
from tidegate.models.drafts import Drafts
from tidegate.models.pyfunc.child import Interpreter
from tidegate.models.registry_store import SqlRegistry
from tidegate.models.search_store import SqlModelSearch
from tidegate.models.service import Models
from tidegate.models.store import SqlVersions
from tidegate.monitors.service import Monitors
from tidegate.monitors.store import SqlDrift, SqlMonitors
from tidegate.pipelines.journal import Journal
from tidegate.pipelines.records import Pipeline, PipelineRun
from tidegate.pipelines.service import Pipelines
from tidegate.pipelines.store import SqlPipelines
from tidegate.predictions.log import PredictionLog
from tidegate.predictions.reading import PredictionReader
from tidegate.predictions.service import Predictions
from tidegate.rollouts.acts import Acts
from tidegate.rollouts.service import Rollouts
from tidegate.rollouts.store import SqlRollouts
from tidegate.runs.experiment_store import SqlExperiments
from tidegate.runs.experiments import Experiments
from tidegate.runs.purge_store import SqlPurge
from tidegate.runs.purging import Purger
from tidegate.runs.search_store import SqlRunSearch
from tidegate.runs.service import Runs
from tidegate.runs.store import SqlRuns
from tidegate.runs.upload_store import SqlUploads
from tidegate.storage.opening import open_storage
from tidegate.storage.released import Released
from tidegate.workspace.remote import RemoteWorkspace
from tidegate.workspace.rooms import Workspace, equip


class NoMeter:
    """Counts nothing: an embedded home has nobody to show it to."""

    def observe(self, operation: str, code: str, seconds: float) -> None:
        """Nothing."""


Part = Literal["whole", "serving", "controllers"]
"""A home in one process, or one of the processes that share it: beside those that serve another runs controllers."""


class LocalWorkspace(Workspace):
    """The rooms of a home in this process, and the parts that servers and controllers are made of."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        simulated_clock: bool | None = None,
        meter: Meter | None = None,
        *,
        part: Part = "whole",
    ) -> None:
        """``part``: which of the processes of `tidegate serve` this is, or that it is none of them."""
        self._part = part
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
        self._facts = facts
        register = SqlPeople(catalog)
        self.authority = PeopleAuthority(register, storage.machine)
        self.dispatcher = Dispatcher(
            authority=self.authority,
            transactions=catalog,
            memory=storage.memory,
            audit=storage.audit,
            meter=meter,
            machine=storage.machine,
        )
        self.controller_loop = ControllerLoop(self._build_controllers, storage.leases, storage.machine, random_id())
        models = self._models(graph)
        features = self._features()
        pipelines = self._pipelines()
        endpoints, monitors, rollouts = self._answering(models, graph)
        self._witness = Witness(
            endpoints=endpoints,
            windows=SqlMonitors(catalog),
            episodes=SqlDrift(catalog),
            runs=SqlPipelines(catalog),
            canaries=SqlRollouts(catalog),
            clock=clock,
        )
        services: list[Service] = [
            Data(store=SqlData(catalog), objects=storage.objects, clock=clock, ids=ids, facts=facts, graph=graph),
            Experiments(store=SqlExperiments(catalog), clock=clock, ids=ids, facts=facts),
            self._runs(graph),
            features,
            models,
            Drafts(store=SqlDrafts(catalog), objects=storage.objects, clock=clock, ids=ids, facts=facts),
            Gates(store=SqlGates(catalog), clock=clock, ids=ids, facts=facts, graph=graph),
            pipelines,
            Predictions(reader=PredictionReader(storage.journal_folder, storage.journal_index, storage.objects)),
            endpoints,
            monitors,
            rollouts,
            self._incidents(),
            self._people(register),
            Approvals(),
            AuditLog(source=SqlAuditSource(catalog, storage.audit)),
            Retraining(store=SqlRetraining(catalog), witness=self._witness, clock=clock, ids=ids, facts=facts),
            Loop(clock=clock, graph=graph, ticker=self._ticker()),
        ]
        super().__init__({service.room: service for service in services}, storage.objects)
        equip(self.services, LocalInvoker(self.dispatcher, self.settings.actor), self.objects)

    def _models(self, graph: LineageGraph) -> Models:
        storage, catalog, settings = self.storage, self.storage.catalog, self.settings
        return Models(
            store=SqlVersions(catalog),
            registry=SqlRegistry(catalog),
            searches=SqlModelSearch(catalog),
            objects=storage.objects,
            clock=storage.clock,
            ids=storage.ids,
            facts=self._facts,
            graph=graph,
            interpreter=Interpreter(
                python=settings.pyfunc_python, seconds=settings.pyfunc_seconds, megabytes=settings.pyfunc_megabytes
            ),
        )

    def _runs(self, graph: LineageGraph) -> Runs:
        storage, facts = self.storage, self._facts
        catalog, clock, ids = storage.catalog, storage.clock, storage.ids
        self._purger = Purger(
            store=SqlPurge(catalog),
            releases=Released(catalog, storage.machine),
            clock=clock,
            facts=facts,
            graph=graph,
            days=self.settings.retention_days,
        )
        runs = SqlRuns(catalog, storage.machine, self.settings.stale_run_minutes * 60.0)
        return Runs(
            store=runs,
            searches=SqlRunSearch(catalog, runs),
            uploads=SqlUploads(catalog),
            purger=self._purger,
            objects=storage.objects,
            clock=clock,
            ids=ids,
            facts=facts,
            graph=graph,
        )

    def _features(self) -> Features:
        storage = self.storage
        definitions = SqlFeatures(storage.catalog)
        self.online_store = SqliteOnlineStore(storage.home / "online.db")
        entities = Entities(self.online_store)
        self.lookup = OnlineLookup(definitions.by_digest, entities)
        return Features(
            store=definitions,
            online=OnlineWriter(entities),
            lookup=self.lookup,
            objects=storage.objects,
            clock=storage.clock,
            facts=self._facts,
        )

    def _pipelines(self) -> Pipelines:
        clock, store = self.storage.clock, SqlPipelines(self.storage.catalog)
        self.pipeline_journal = Journal(store=store, events=self._facts, clock=clock)
        return Pipelines(
            store=store, journal=self.pipeline_journal, clock=clock, ids=self.storage.ids, facts=self._facts
        )

    def _answering(self, models: Models, graph: LineageGraph) -> tuple[Endpoints, Monitors, Rollouts]:
        """What answers, what watches the answers, and what moves traffic from one version to the next."""
        storage, facts = self.storage, self._facts
        catalog, clock = storage.catalog, storage.clock
        wishes = SqlEndpoints(catalog)
        # opened with the first prediction: a command that predicts nothing takes no writer's number
        self.log = PredictionLog(lambda: storage.writer(self.settings), clock)
        self.engine = ServingEngine(
            wishes=wishes, models=models, log=self.log, clock=clock, machine=storage.machine, features=self.lookup
        )
        self._moves = Moves(wishes, models, self.engine.routing.expect_change)
        self._acts = Acts(self._moves, facts, storage.audit)
        return (
            Endpoints(store=wishes, engine=self.engine, clock=clock, ids=storage.ids, facts=facts, graph=graph),
            Monitors(
                store=SqlMonitors(catalog), drift=SqlDrift(catalog), objects=storage.objects, clock=clock, facts=facts
            ),
            Rollouts(store=SqlRollouts(catalog), acts=self._acts, clock=clock),
        )

    def _incidents(self) -> Incidents:
        storage, store = self.storage, SqlIncidents(self.storage.catalog)
        self.incident_book = IncidentBook(store=store, facts=self._facts, clock=storage.clock, ids=storage.ids)
        return Incidents(store=store, book=self.incident_book)

    def _people(self, register: SqlPeople) -> People:
        storage = self.storage
        return People(
            store=register,
            transactions=storage.catalog,
            audit=storage.audit,
            clock=storage.clock,
            machine=storage.machine,
            ids=storage.ids,
            facts=self._facts,
        )

    def _ticker(self) -> Ticker:
        """A simulated home's server has a process for the controllers, which waits to be told."""
        if self._part == "serving" and hasattr(self.storage.clock, "advance"):
            return DelegatedTick(SqlTicks(self.storage.catalog), self.storage.machine)
        return self.controller_loop

    def _build_controllers(self) -> list[Controller]:
        """What happens by itself. Imported here: a process that only serves does without Polars."""
        from tidegate.workspace.controllers import Shared, build

        return build(
            Shared(
                storage=self.storage,
                facts=self._facts,
                dispatcher=self.dispatcher,
                moves=self._moves,
                acts=self._acts,
                journal=self.pipeline_journal,
                book=self.incident_book,
                witness=self._witness,
                retraining=self.retraining,
                order=self._order,
                prepare=self._prepare if self._part == "controllers" else None,
                purger=self._purger,
                grace_seconds=self.settings.sweep_grace_hours * 3600.0,
            )
        )

    @property
    def tick_desk(self) -> TickDesk:
        """Answers the ticks that serving processes ask for."""
        return TickDesk(SqlTicks(self.storage.catalog), self.controller_loop)

    def _prepare(self, pipeline: Pipeline) -> bytes:
        settings = msgspec.structs.replace(self.settings, home=str(self.storage.home), url="", actor=pipeline.by)
        return msgspec.json.encode({"settings": settings, "functions": pipeline.steps})

    def _order(self, run: PipelineRun, term: int) -> bytes:
        """What `tidegate.workspace.stepping` reads: the run acts as the person who started it."""
        settings = msgspec.structs.replace(self.settings, home=str(self.storage.home), url="", actor=run.by)
        return msgspec.json.encode({"settings": settings, "run": run.id, "term": term})

    @functools.cached_property
    def wire(self) -> Workspace:
        """The same home through encode, dispatch and decode: the wire without a network."""
        return RemoteWorkspace(WireTransport(self.dispatcher, self.services, self.settings.actor), self.objects)

    def check_ready(self) -> None:
        """Raises `Unavailable` when the catalog does not answer."""
        self.storage.catalog.pulse()

    def close(self) -> None:
        """Release connections and files."""
        self.controller_loop.close()
        self.engine.close()
        self.log.close()
        self.online_store.close()
        self.storage.catalog.close()
