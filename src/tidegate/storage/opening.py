"""A home's storage, put together from its settings."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from tidegate.kernel.clock import BusinessClock, MachineClock, SystemClock
from tidegate.kernel.errors import Conflict, Invalid
from tidegate.kernel.ids import IdFactory, random_id
from tidegate.kernel.objects import ObjectStore
from tidegate.kernel.settings import Settings
from tidegate.storage.audit import AuditChain
from tidegate.storage.catalog import Catalog, open_catalog
from tidegate.storage.clock import open_clock
from tidegate.storage.journal import JournalReader, JournalWriter
from tidegate.storage.journal.catalog_index import CatalogSegmentIndex
from tidegate.storage.leases import Leases
from tidegate.storage.memory import AnswerMemory
from tidegate.storage.objects.opening import open_objects


class Storage(NamedTuple):
    """The three places, and what stands directly on them."""

    home: Path
    catalog: Catalog
    objects: ObjectStore
    journal_folder: Path
    journal_index: CatalogSegmentIndex
    clock: BusinessClock
    machine: MachineClock
    ids: IdFactory
    audit: AuditChain
    memory: AnswerMemory
    leases: Leases

    def writer(self, settings: Settings) -> JournalWriter:
        """A journal writer of this process; a number of its own marks its ids."""
        return JournalWriter(
            self.journal_folder,
            writer=self.journal_index.allocate_writer(),
            clock=self.clock,
            segment_bytes=settings.segment_megabytes << 20,
            segment_seconds=settings.segment_seconds,
        )

    def reader(self) -> JournalReader:
        """Reads all writers' segments, sealed or not."""
        return JournalReader(self.journal_folder, self.journal_index, self.objects)


def check_whole(settings: Settings, home: Path) -> None:
    """Raise `Conflict` where the catalog of a home is gone: a new one would know nothing of what the home keeps.

    Objects are looked for first, for whoever makes a home makes its catalog before the first object.
    """
    if home.exists() and not home.is_dir():
        raise Invalid(f"home {home} is no folder; choose another with --home or TIDEGATE_HOME")
    if settings.catalog or not any((home / "objects").glob("[0-9a-f][0-9a-f]/*")):
        return
    files = [home / "catalog.db", home / "catalog.db-wal"]
    if not any(file.exists() and file.stat().st_size for file in files):
        raise Conflict(
            f"the catalog of home {home} is gone, and its objects are still there: restore {files[0]} from a backup, "
            "or say with TIDEGATE_CATALOG where its catalog is"
        )


def open_storage(settings: Settings, home: Path, simulated: bool | None) -> Storage:
    """The storage of a home, created where it is not there yet. The tables of all rooms must be known by now."""
    check_whole(settings, home)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "journal").mkdir(exist_ok=True)
    except OSError as error:
        raise Invalid(
            f"home {home} cannot be made: {error.strerror}; choose another with --home or TIDEGATE_HOME"
        ) from error
    if not os.access(home, os.W_OK):
        raise Invalid(f"home {home} cannot be written; choose another with --home or TIDEGATE_HOME")
    machine = SystemClock()
    catalog = open_catalog(settings.catalog, home)
    with contextlib.ExitStack() as undo:
        undo.callback(catalog.close)
        clock = open_clock(catalog, random_id(), simulated)
        storage = Storage(
            home=home,
            catalog=catalog,
            objects=open_objects(settings.objects or home / "objects"),
            journal_folder=home / "journal",
            journal_index=CatalogSegmentIndex(catalog, clock),
            clock=clock,
            machine=machine,
            ids=IdFactory(clock),
            audit=AuditChain(catalog, clock),
            memory=AnswerMemory(catalog, machine),
            leases=Leases(catalog, machine),
        )
        undo.pop_all()
    return storage
