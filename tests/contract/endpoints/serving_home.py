"""A home with as much in it as serving needs: catalog, objects, journal, models, endpoints, and the engine."""

import contextlib
from pathlib import Path
from typing import Any

from tests.contract.models.kept_models import kept
from tidegate.endpoints.engine import ServingEngine
from tidegate.endpoints.records import Deployment
from tidegate.endpoints.service import Endpoints
from tidegate.endpoints.store import SqlEndpoints
from tidegate.events.store import EventLog
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.context import Role
from tidegate.kernel.dispatch import Dispatcher, LocalInvoker
from tidegate.kernel.errors import Forbidden
from tidegate.kernel.ids import IdFactory
from tidegate.lineage.store import LineageGraph
from tidegate.models.records import StagePolicy
from tidegate.models.registry_store import SqlRegistry
from tidegate.models.search_store import SqlModelSearch
from tidegate.models.service import Models
from tidegate.models.signature import Policy
from tidegate.models.store import SqlVersions
from tidegate.predictions.log import PredictionLog
from tidegate.predictions.reading import PredictionReader
from tidegate.storage.audit import AuditChain
from tidegate.storage.catalog import open_catalog
from tidegate.storage.journal import JournalWriter
from tidegate.storage.journal.catalog_index import CatalogSegmentIndex
from tidegate.storage.memory import AnswerMemory
from tidegate.storage.objects.folder import FolderObjects
from tidegate.testing.catalogs import place_catalog

ROW: dict[str, Any] = {"distance": 1400, "wind": 12.5, "low_visibility": False, "carrier": "c01"}
"""One row as the models of `fitted_models` take it."""


class Roles:
    """Who may do what, in memory."""

    def __init__(self) -> None:
        self.granted: dict[str, frozenset[Role]] = {"local": frozenset({"admin", "approver"})}

    def roles(self, actor: str) -> frozenset[Role]:
        """The roles of the person."""
        if actor not in self.granted:
            raise Forbidden(f"there is no person {actor}")
        return self.granted[actor]


class Uncounted:
    """Counts nothing."""

    def observe(self, operation: str, code: str, seconds: float) -> None:
        """Nothing."""


class ServingHome:
    """Everything under one folder; opened a second time it is what another process sees."""

    def __init__(self, folder: Path, catalog: str = "") -> None:
        self.place = folder, catalog
        self.clock = self.machine = SystemClock()
        if not catalog:
            place_catalog(folder)
        self.catalog = open_catalog(catalog, folder)
        self.objects = FolderObjects(folder / "objects")
        self.index = CatalogSegmentIndex(self.catalog, self.clock)
        self.writer = JournalWriter(
            folder / "journal", writer=self.index.allocate_writer("a test"), clock=self.clock, sync_every=60.0
        )
        self.log = PredictionLog(self.writer, self.clock)
        self.reader = PredictionReader(folder / "journal", self.index, self.objects)
        self.roles = Roles()
        self.dispatcher = Dispatcher(
            authority=self.roles,
            transactions=self.catalog,
            memory=AnswerMemory(self.catalog, self.machine),
            audit=AuditChain(self.catalog, self.clock),
            meter=Uncounted(),
            machine=self.machine,
        )
        ids = IdFactory(self.clock)
        facts, self.graph = EventLog(self.catalog, self.clock, ids), LineageGraph(self.catalog)
        self.models = Models(
            store=SqlVersions(self.catalog),
            registry=SqlRegistry(self.catalog),
            searches=SqlModelSearch(self.catalog),
            objects=self.objects,
            clock=self.clock,
            ids=ids,
            facts=facts,
            graph=self.graph,
        )
        self.store = SqlEndpoints(self.catalog)
        self.engine = ServingEngine(
            wishes=self.store, models=self.models, log=self.log, clock=self.clock, machine=self.machine
        )
        self.endpoints = Endpoints(
            store=self.store, engine=self.engine, clock=self.clock, ids=ids, facts=facts, graph=self.graph
        )
        invoke = LocalInvoker(self.dispatcher, "local")
        self.models._invoke = self.endpoints._invoke = invoke
        self.endpoints._models = self.models

    def promoted(self, recipe: str, name: str, *, unknown: Policy = "null", missing: Policy = "null") -> str:
        """The reference of a version in stage production, made of a model of `fitted_models`."""
        version = kept(recipe, unknown, missing).log(name, self.models, self.objects)
        if version.stage != "production":
            self.models.set_policy(name, "production", policy=StagePolicy())
            self.models.promote(name, version.number, to="production")
        return version.reference

    def deployed(self, recipe: str, endpoint: str, **policies: Policy) -> Deployment:
        """The deployment of such a version; the model is named after the recipe's kind."""
        name = "regression" if recipe.startswith("regression") else "late"
        return self.endpoints.deploy(endpoint, self.promoted(recipe, name, **policies))

    def logged(self) -> int:
        """How many predictions and labels the log holds, of all endpoints."""
        self.writer.sync()
        return sum(count.predictions + count.labels for count in self.reader.count())

    def close(self) -> None:
        """Release everything."""
        self.engine.close()
        self.writer.close()
        with contextlib.suppress(OSError):
            self.catalog.close()
