"""Laws 9 to 11 of the journal on the index of every catalog."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from tests.contract.storage.journal_home import CLOCK, TOPIC, Home, RowCodec, instant, payload, payloads
from tests.postgres import Databases
from tidegate.kernel.clock import from_micros
from tidegate.storage.catalog import Catalog, open_catalog
from tidegate.storage.journal import ChainHead, verify
from tidegate.storage.journal.catalog_index import CatalogSegmentIndex, chain_head, segments, writers
from tidegate.storage.journal.records import GENESIS, SealedPart
from tidegate.testing.catalogs import place_catalog


@pytest.fixture(scope="module")
def postgres(databases: Databases) -> str:
    return databases.with_catalog()


@pytest.fixture(params=["sqlite", "postgres"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    address = request.getfixturevalue("postgres") if request.param == "postgres" else ""
    if not address:
        place_catalog(tmp_path)
    catalog = open_catalog(address, tmp_path)

    def empty() -> None:
        with catalog.connect() as connection:
            for table in (segments, chain_head):
                connection.execute(sa.delete(table))

    catalog.write(empty)
    yield catalog
    catalog.close()


@pytest.fixture
def home(tmp_path: Path, catalog: Catalog) -> Home:
    return Home(tmp_path, catalog)


def part(segment: str, topic: str = TOPIC) -> SealedPart:
    return SealedPart(
        segment=segment * 32,
        topic=topic,
        writer=7,
        opened_at=from_micros(1),
        sealed_at=from_micros(2),
        digest=segment * 64,
        sha256=segment * 64,
        size=10,
        rows=2,
        first_number=0,
        last_number=1,
    )


def execute(catalog: Catalog, statement: sa.Executable) -> None:
    def work() -> None:
        with catalog.connect() as connection:
            connection.execute(statement)

    catalog.write(work)


def test_law_9_adding_twice_changes_nothing(home: Home) -> None:
    first = home.index.add([part("a"), part("a", "label")])
    assert home.index.add([part("a"), part("a", "label")]) == first
    assert home.index.list() == list(first)
    assert home.index.head() == ChainHead(2, first[-1].hash)


def test_law_9_a_reader_that_filters_finds_the_right_parts(home: Home) -> None:
    for number in range(3):
        with home.writer(number + 1) as writer:
            writer.append_many(TOPIC, payloads(10, start=number * 10))
            writer.append("label", payload(number))
        assert home.seal(codecs=[RowCodec(), RowCodec("label")]).segment
    first, second, third = home.index.list(TOPIC)
    middle = home.frame(second)["id"][4]
    assert home.index.list(TOPIC, holding=middle) == [second]
    assert home.index.list(TOPIC, holding=middle, writer=2) == [second]
    assert home.index.list(TOPIC, holding=middle, writer=3) == []
    assert home.index.list(TOPIC, since=from_micros(19_000_000), until=from_micros(20_000_000)) == [second]
    assert home.index.list(TOPIC, since=from_micros(19_000_001)) == [third]
    assert home.index.list(TOPIC, after=first.sequence, limit=1) == [second]
    assert home.reader().sealed(TOPIC, after={second.segment: second.last_number, third.segment: 3}) == [first, third]
    assert second.first_time == instant(10)
    assert home.index.parts_of([first.segment, "f" * 32]) == [home.index.list("label")[0], first]


def test_law_10_an_untouched_chain_is_sound(home: Home) -> None:
    assert home.index.head() == ChainHead(0, GENESIS)
    assert verify(home.index).sound
    links = [home.index.add([part(letter)])[0] for letter in "abcd"]
    report = verify(home.index, head=ChainHead(2, links[1].hash))
    assert (report.faults, report.links, report.head) == ((), 4, ChainHead(4, links[3].hash))


@pytest.mark.parametrize("column", [column.name for column in segments.columns if column.name != "sequence"])
def test_law_10_any_changed_value_is_found(home: Home, column: str) -> None:
    for letter in "abc":
        home.index.add([part(letter)])
    value: object = "0" * 64 if isinstance(segments.c[column].type, sa.String) else 5
    if column in {"segment", "topic"}:
        value = "f" * 32
    execute(home.catalog, sa.update(segments).where(segments.c.sequence == 2).values({column: value}))
    assert 2 in {fault.sequence for fault in verify(home.index).faults}


def test_law_10_missing_added_and_swapped_rows_are_found(home: Home) -> None:
    a, b, c = (home.index.add([part(letter)])[0] for letter in "abc")
    execute(home.catalog, sa.delete(segments).where(segments.c.sequence == 2))
    assert [fault.sequence for fault in verify(home.index).faults] == [3, 3]
    execute(home.catalog, sa.delete(segments).where(segments.c.sequence == 3))
    assert [fault.sequence for fault in verify(home.index).faults] == [3]
    assert verify(home.index, head=ChainHead(3, c.hash)).faults[0].sequence == 3
    execute(home.catalog, sa.update(chain_head).values(sequence=1, hash=a.hash))
    assert verify(home.index).sound  # cut off and the head rewritten with it: only a head noted elsewhere tells
    assert not verify(home.index, head=ChainHead(3, c.hash)).sound
    values = msgspec.structs.asdict(b) | {"opened_at": 1, "sealed_at": 2}
    execute(home.catalog, sa.insert(segments).values(values))
    assert [fault.sequence for fault in verify(home.index).faults] == [2]


def test_law_10_a_chain_written_anew_differs_from_the_noted_head(home: Home) -> None:
    noted, _ = (home.index.add([part(letter)])[0] for letter in "ab")
    for table in (segments, chain_head):
        execute(home.catalog, sa.delete(table))
    for letter in "xyz":
        home.index.add([part(letter)])
    assert verify(home.index).sound
    assert [fault.sequence for fault in verify(home.index, head=ChainHead(1, noted.hash)).faults] == [1]


def test_law_10_the_chain_does_not_fork_among_many_sealers(home: Home, tmp_path: Path) -> None:
    others = [CatalogSegmentIndex(home.catalog, CLOCK) for _ in range(4)]
    letters = "0123456789abcdef"
    threads = [
        threading.Thread(target=lambda index=index, of=of: [index.add([part(letter)]) for letter in letters[of::4]])
        for of, index in enumerate(others)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify(home.index)
    assert (report.links, report.faults) == (16, ())


def test_law_11_every_allocation_gets_another_number(home: Home) -> None:
    numbers = [home.index.allocate_writer(f"test:{at}") for at in range(5)]
    assert len(set(numbers)) == 5
    assert all(1 <= number <= 65_535 for number in numbers)
    taken = sa.insert(writers).values(allocation=65_535 * 3, holder="the last of a round", allocated_at=0)
    execute(home.catalog, taken)
    if home.catalog.dialect == "sqlite":  # which goes on after the greatest key
        assert home.index.allocate_writer("next") == 1
    with home.writer(numbers[2]) as writer:
        position = writer.append(TOPIC, payload(1))
        assert [info.writer for info in home.reader().segments()] == [numbers[2]]
    part_ = home.seal().sealed[0]
    assert (part_.writer, part_.segment) == (numbers[2], position.segment)
