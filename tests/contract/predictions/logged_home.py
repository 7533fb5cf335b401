"""A home with a prediction log, its readers and the controller of its windows, for tests of both rooms."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from tidegate.events.records import Event
from tidegate.events.store import EventLog
from tidegate.kernel.clock import SystemClock, to_micros
from tidegate.kernel.ids import IdFactory
from tidegate.monitors.controller import QualityController, Stage
from tidegate.monitors.drift_controller import DriftController
from tidegate.monitors.drift_controller import Stage as DriftStage
from tidegate.monitors.store import SqlDrift, SqlMonitors
from tidegate.predictions.codecs import CODECS
from tidegate.predictions.following import Follower
from tidegate.predictions.log import PredictionLog
from tidegate.predictions.reading import PredictionReader
from tidegate.predictions.records import LABELS, PREDICTIONS, LabelRow, PredictionRow, Source, Value
from tidegate.storage.catalog import open_catalog
from tidegate.storage.journal import JournalWriter, SealResult, seal_once
from tidegate.storage.journal.catalog_index import CatalogSegmentIndex
from tidegate.storage.objects.folder import FolderObjects
from tidegate.testing.catalogs import place_catalog

START = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LATE = Source("late", "d" * 32, "late-arrival", 3, "stable", ("late", "on time"))
DELAY = Source("delay", "e" * 32, "minutes", 1, "stable")
AT_REST = 3600.0


class TestClock:
    """Business time that a test moves."""

    __test__ = False

    def __init__(self, now: datetime = START) -> None:
        self.present = now

    def now(self) -> datetime:
        return self.present


class LoggedHome:
    """Everything under one folder; open the folder twice to be two processes."""

    def __init__(self, folder: Path, catalog: str = "", *, segment_bytes: int = 64 << 20) -> None:
        if not catalog:
            place_catalog(folder)
        self.journal = folder / "journal"
        self.machine = SystemClock()
        self.clock = TestClock()
        self.catalog = open_catalog(catalog, folder)
        self.objects = FolderObjects(folder / "objects")
        self.index = CatalogSegmentIndex(self.catalog, self.clock)
        self.store = SqlMonitors(self.catalog)
        self.drift = SqlDrift(self.catalog)
        self.segment_bytes = segment_bytes
        self.writer = self.new_writer()
        self.log = PredictionLog(self.writer, self.clock)

    def new_writer(self) -> JournalWriter:
        """As another process of the home would have one."""
        return JournalWriter(
            self.journal,
            writer=self.index.allocate_writer("a test"),
            clock=self.clock,
            segment_bytes=self.segment_bytes,
            sync_every=AT_REST,
        )

    @property
    def reader(self) -> PredictionReader:
        """A reader that has read nothing yet."""
        return PredictionReader(self.journal, self.index, self.objects)

    def follower(self, topic: str) -> Follower:
        """A follower that has read nothing yet."""
        return Follower(topic, self.journal, self.index, self.objects)

    def controller(
        self, *, batch: int = 50_000, observe: Callable[[Stage], None] = lambda _: None
    ) -> QualityController:
        """A controller as after a restart."""
        return QualityController(
            store=self.store,
            predictions=self.follower(PREDICTIONS),
            labels=self.follower(LABELS),
            objects=self.objects,
            clock=self.clock,
            machine=self.machine,
            batch=batch,
            observe=observe,
        )

    def drift_controller(self, *, observe: Callable[[DriftStage], None] = lambda _: None) -> DriftController:
        """The other controller as after a restart."""
        ids = IdFactory(self.clock)
        return DriftController(
            store=self.drift,
            log=self.controller(),
            objects=self.objects,
            clock=self.clock,
            ids=ids,
            facts=EventLog(self.catalog, self.clock, ids),
            observe=observe,
        )

    def judge(self) -> int:
        """Steps of a new drift controller until nothing is due; how many."""
        controller, steps = self.drift_controller(), 0
        while controller.step() == 0.0:
            steps += 1
        return steps

    def facts(self) -> list[Event]:
        """Everything that was told, oldest first."""
        return EventLog(self.catalog, self.clock, IdFactory(self.clock)).after(0)

    def settle(self, **options: Any) -> None:
        """Steps of a new controller until nothing is left to read."""
        controller = self.controller(**options)
        while controller.step() == 0.0:
            pass

    def row(
        self,
        at: datetime = START,
        source: Source = LATE,
        value: Value | None = "late",
        shares: list[float] | None = None,
        **fields: Any,
    ) -> PredictionRow:
        """A prediction with an id of its own."""
        inputs = msgspec.json.encode({"carrier": "UA", "distance": 719, "note": 'a "b" ü'})
        return PredictionRow(self.log.ids.new(at), to_micros(at), source, inputs, value, shares, **fields)

    def predict(self, *rows: PredictionRow) -> list[str]:
        """Log rows; their ids."""
        self.log.append(rows)
        return [row.id for row in rows]

    def label(
        self,
        prediction_id: str,
        value: Value,
        *,
        observed: datetime = START,
        received: datetime | None = None,
        endpoint: str = "late",
    ) -> LabelRow:
        """Log a label."""
        received = received or observed
        row = LabelRow(prediction_id, endpoint, value, to_micros(observed), to_micros(received))
        self.log.append_labels([row])
        return row

    def seal(self) -> list[SealResult]:
        """End the segment, and seal whatever nobody writes any more."""
        self.writer.roll()
        return list(iter(self.seal_one, SealResult()))

    def seal_one(self) -> SealResult:
        """One round of sealing."""
        return seal_once(self.journal, index=self.index, objects=self.objects, codecs=CODECS, clock=self.clock)

    def close(self) -> None:
        """Release everything."""
        self.writer.close()
        self.catalog.close()


def ids_of(rows: Sequence[PredictionRow]) -> list[str]:
    """The ids of rows."""
    return [row.id for row in rows]
