"""A journal with everything around it, for tests: a folder, an index, objects, and a codec for small JSON rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import polars as pl

from tidegate.kernel.clock import SystemClock, from_micros
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.objects import ObjectPlane
from tidegate.storage.catalog import Catalog, open_catalog
from tidegate.storage.journal import JournalReader, JournalSnapshot, JournalWriter, SealedSegment, SealResult, seal_once
from tidegate.storage.journal.catalog_index import CatalogSegmentIndex
from tidegate.storage.journal.sealing import Observer
from tidegate.storage.objects import open_objects
from tidegate.testing.catalogs import place_catalog

TOPIC = "prediction"
CLOCK = SystemClock()


class Row(msgspec.Struct, frozen=True):
    """A record of these tests."""

    id: str
    at: int
    endpoint: str
    value: int


class RowCodec:
    """Rows as columns, sorted by endpoint."""

    def __init__(self, topic: str = TOPIC) -> None:
        self.topic = topic
        self.sort_by: Sequence[str] = ("endpoint",)
        self.time_column: str | None = "at"
        self.id_column: str | None = "id"

    def to_frame(self, payloads: list[bytes]) -> pl.DataFrame:
        """Decode every payload."""
        rows = [msgspec.json.decode(payload, type=Row) for payload in payloads]
        return pl.DataFrame(
            {
                "id": [row.id for row in rows],
                "at": pl.Series([row.at for row in rows], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
                "endpoint": [row.endpoint for row in rows],
                "value": [row.value for row in rows],
            }
        )


class Home:
    """One journal on one catalog."""

    def __init__(self, folder: Path, catalog: Catalog | None = None, objects: ObjectPlane | None = None) -> None:
        self.folder = folder / "journal"
        self.folder.mkdir(parents=True, exist_ok=True)
        if catalog is None:
            place_catalog(folder)
        self.catalog = catalog or open_catalog("", folder)
        self.index = CatalogSegmentIndex(self.catalog, CLOCK)
        self.objects = objects or open_objects(folder / "objects")

    def writer(
        self, number: int = 1, *, segment_bytes: int = 64 << 20, segment_seconds: float | None = None
    ) -> JournalWriter:
        """A writer of this process."""
        return JournalWriter(
            self.folder, writer=number, clock=CLOCK, segment_bytes=segment_bytes, segment_seconds=segment_seconds
        )

    def reader(self) -> JournalReader:
        """A reader that has read nothing yet."""
        return JournalReader(self.folder, self.index, self.objects)

    def seal(self, *, codecs: Sequence[RowCodec] = (RowCodec(),), observe: Observer = lambda step: None) -> SealResult:
        """One round of sealing."""
        return seal_once(
            self.folder, index=self.index, objects=self.objects, codecs=codecs, clock=CLOCK, observe=observe
        )

    def seal_all(self) -> list[SealResult]:
        """Rounds until nothing can be sealed."""
        return list(iter(self.seal, SealResult()))

    def frame(self, part: SealedSegment) -> pl.DataFrame:
        """A sealed part as a table."""
        return pl.read_parquet(self.reader().parquet(part))

    def values(self, topic: str = TOPIC, snapshot: JournalSnapshot | None = None) -> list[int]:
        """The value of every record that a reader sees, sealed or not, in no particular order."""
        with snapshot or self.reader().snapshot() as seen:
            found = [msgspec.json.decode(payload, type=Row).value for _, payload in seen.scan(topic)]
            for part in seen.sealed(topic):
                found += self.frame(part)["value"].to_list()
        return found

    def files(self) -> list[Path]:
        """The segments that are still files."""
        return sorted(self.folder.glob("*.seg"))


_ids = IdFactory(CLOCK, writer=1)


def payload(value: int, endpoint: str = "late-arrival") -> bytes:
    """A record with this value."""
    return msgspec.json.encode(Row(_ids.new(), 1_000_000 * value, endpoint, value))


def payloads(count: int, start: int = 0) -> list[bytes]:
    """Records with the values from `start`."""
    return [payload(value) for value in range(start, start + count)]


def instant(value: int) -> object:
    """The time of the record with this value."""
    return from_micros(1_000_000 * value)


def owned_home(folder: Path) -> Iterator[Home]:
    """A home on SQLite, closed afterwards."""
    home = Home(folder)
    yield home
    home.catalog.close()
