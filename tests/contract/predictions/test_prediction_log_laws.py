"""Laws of `PredictionLog`."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.contract.predictions.logged_home import START, LoggedHome
from tidegate.kernel.clock import SystemClock, to_micros
from tidegate.kernel.errors import Invalid
from tidegate.kernel.ids import parse_id
from tidegate.predictions.log import PredictionLog
from tidegate.predictions.records import PREDICTIONS, Durability, LabelRow
from tidegate.storage.journal import JournalReader, JournalWriter


def records(home: LoggedHome) -> int:
    """How many records of predictions there are in files."""
    return len(list(JournalReader(home.journal, home.index, home.objects).scan(PREDICTIONS)))


@pytest.mark.parametrize("durability", ["acked", "durable", "best_effort"])
def test_law_1_what_was_taken_is_there(logged: LoggedHome, durability: Durability) -> None:
    rows = [logged.row() for _ in range(3)]
    logged.log.append(rows[:1], durability)
    logged.log.append(rows[1:], durability)
    logged.log.append([], durability)
    logged.log.append_labels([LabelRow(rows[0].id, "late", "late", 1, 2)], durability)
    logged.writer.close()  # writes what best effort holds back
    assert [logged.reader.get(row.id).id for row in rows] == [row.id for row in rows]
    label = logged.reader.get(rows[0].id).label
    assert label is not None
    assert label.value == "late"
    assert logged.log.dropped == 0


def test_law_1_commit_does_not_block_an_event_loop(logged: LoggedHome) -> None:
    rows = [logged.row() for _ in range(20)]

    async def write() -> None:
        waits = [asyncio.wrap_future(logged.log.commit([row])) for row in rows]
        waits.append(asyncio.wrap_future(logged.log.commit_labels([LabelRow(rows[0].id, "late", "late", 1, 1)])))
        await asyncio.gather(*waits)

    asyncio.run(write())
    assert records(logged) == 20
    assert len(logged.reader.get(rows[0].id).labels) == 1


@pytest.mark.parametrize("odd", [2**70, "\ud800", object()], ids=["huge", "surrogate", "object"])
@pytest.mark.parametrize("durability", ["acked", "durable"])
def test_law_2_a_call_that_raised_leaves_none_of_its_rows(logged: LoggedHome, odd: Any, durability: Durability) -> None:
    good, bad = logged.row(), logged.row(value=odd)
    for rows in ([bad], [good, bad], [bad, good]):
        with pytest.raises(Invalid, match="prediction log"):
            logged.log.append(rows, durability)
    logged.log.append([good])
    assert records(logged) == 1
    assert len(logged.seal()) == 1


def test_law_3_an_id_names_its_writer(logged: LoggedHome) -> None:
    other = logged.new_writer()
    log = PredictionLog(other, logged.clock)
    assert parse_id(logged.log.ids.new()).writer == logged.writer.writer
    assert parse_id(log.ids.new()).writer == other.writer != logged.writer.writer
    log.close()


def test_law_4_a_repeated_label_changes_nothing_that_is_read(logged: LoggedHome) -> None:
    prediction = logged.predict(logged.row())[0]
    label = logged.label(prediction, "late")
    before = logged.reader.get(prediction)
    for _ in range(3):
        logged.log.append_labels([label, label])
    assert logged.reader.get(prediction) == before
    assert len(before.labels) == 1
    logged.seal()
    logged.log.append_labels([label])
    assert logged.reader.get(prediction) == before
    assert logged.reader.scan().collect().height == 1


@pytest.mark.parametrize("name", ["", "abc", "G" * 32, "\x00", "F" * 32, "1" * 33])
def test_a_label_of_what_is_no_id_is_refused(logged: LoggedHome, name: str) -> None:
    with pytest.raises(Invalid, match="no prediction's id"):
        logged.log.append_labels([LabelRow("0" * 32, "late", 1, 1, 1), LabelRow(name, "late", 1, 1, 1)])
    with pytest.raises(Invalid, match="no prediction's id"):
        logged.log.commit_labels([LabelRow(name, "late", 1, 1, 1)])
    assert logged.reader.count() == []


def test_a_writer_is_opened_when_it_is_wanted(tmp_path: Path) -> None:
    opened: list[JournalWriter] = []

    def open_writer() -> JournalWriter:
        opened.append(JournalWriter(tmp_path / "journal", writer=9, clock=SystemClock()))
        return opened[-1]

    unused = PredictionLog(open_writer, SystemClock())
    assert unused.dropped == 0
    unused.close()
    assert opened == []
    log = PredictionLog(open_writer, SystemClock())
    assert parse_id(log.ids.new(START)).writer == 9
    log.append_labels([LabelRow("0" * 32, "late", 1, to_micros(START), 1)])
    assert len(opened) == 1
    log.close()
    with pytest.raises(Invalid, match="closed"):
        log.append_labels([LabelRow("0" * 32, "late", 1, 1, 1)])


def test_a_record_begins_with_its_id(logged: LoggedHome) -> None:
    """`predictions.seeking` looks for it there."""
    row = logged.row(shares=[0.25, 0.75])
    assert msgspec.msgpack.encode(row)[3:35] == row.id.encode()
    assert msgspec.msgpack.encode(LabelRow(row.id, "late", 1, 1, 1))[3:35] == row.id.encode()
