"""What the services of models stand on, and what all of them look up."""

from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.errors import NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.operation import Service
from tidegate.lineage.records import Graph, Node
from tidegate.models.pyfunc.child import Interpreter
from tidegate.models.records import Model, ModelVersion
from tidegate.models.search import ModelSearch
from tidegate.models.stores import RegistryStore, VersionStore


class ModelRoom(Service):
    """Models and versions as they are held: the part without operations."""

    room = "models"
    _objects: ObjectPlane
    _interpreter: Interpreter = Interpreter()
    """Runs trusted directories. A workspace over a wire has none but what `load` is given."""

    def __init__(
        self,
        *,
        store: VersionStore,
        registry: RegistryStore,
        searches: ModelSearch,
        objects: ObjectPlane,
        clock: BusinessClock,
        ids: IdFactory,
        facts: Facts,
        graph: Graph,
        interpreter: Interpreter | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._searches = searches
        self._objects = objects
        self._clock = clock
        self._ids = ids
        self._facts = facts
        self._graph = graph
        self._interpreter = interpreter or Interpreter()

    def _numbered(self, name: str, number: int) -> ModelVersion:
        found = self._store.numbered(name, number)
        if found is None:
            raise NotFound(
                f"there is no version {name}/{number}; 'tidegate models versions {name}' shows those there are"
            )
        return found

    def _model(self, name: str) -> Model:
        found = self._registry.model(name)
        if found is None:
            raise NotFound(f"there is no model {name!r}; 'tidegate models list' shows those there are")
        return found

    def _deployments(self, version: ModelVersion) -> list[str]:
        """The deployments that the version ever had: its predictions lead back to it."""
        edges = self._graph.out_of(Node("model", version.digest))
        return [edge.target.label for edge in edges if edge.target.kind == "deployment"]
