"""Laws of `PredictionReader`: the same answers before and after sealing, from whichever process."""

import math
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest

from tests.contract.predictions.logged_home import DAY, DELAY, LATE, START, LoggedHome
from tidegate.kernel.errors import Internal, Invalid, NotFound
from tidegate.predictions.log import PredictionLog
from tidegate.predictions.records import PREDICTIONS, EndpointCount, LabelRow, PredictionRow, Shadow, Source
from tidegate.storage.journal import JournalReader

FLAGS = Source("flags", "f" * 32, "broken", 2, "stable", (False, True))
CANARY = Source("late", "c" * 32, "late-arrival", 4, "canary", ("late", "on time"))
MINUTE = timedelta(minutes=1)


def odd_rows(home: LoggedHome) -> list[PredictionRow]:
    """Plain and odd answers."""
    return [
        home.row(shares=[0.25, 0.75], latency=181, unknown={"carrier": 1}, missing={"wind": 2, "ü": 1}),
        home.row(value=None, status="error"),
        home.row(source=DELAY, value=math.nan),
        home.row(source=DELAY, value=-math.inf),
        home.row(source=DELAY, value=-0.0),
        home.row(source=DELAY, value=1e308),
        home.row(source=DELAY, value=2**63),
        home.row(source=FLAGS, value=True, shares=[math.nan, math.inf]),
        home.row(value='quoted "late"\n\u2028', shares=[]),
        home.row(at=START - 20000 * DAY, value=""),
        home.row(at=START.replace(year=9999), value="1.0"),
        home.row(weight=0.25, shadows=[Shadow(CANARY, "on time", [0.75, 0.25]), Shadow(DELAY, math.inf)]),
        home.row(weight=1e-9, shadows=[]),
    ]


def test_law_1_a_prediction_reads_the_same_before_and_after_sealing(logged: LoggedHome) -> None:
    rows = odd_rows(logged)
    logged.predict(*rows)
    for minute, value in enumerate(["late", "on time", "late"]):
        logged.label(rows[0].id, value, observed=START + minute * MINUTE)
    before = [logged.reader.get(row.id) for row in rows]
    table = logged.reader.scan().collect().sort("id")
    assert [result.refused for result in logged.seal()] == [()]
    assert [logged.reader.get(row.id) for row in rows] == before
    assert logged.reader.scan().collect().sort("id").equals(table)
    assert before[0].inputs == {"carrier": "UA", "distance": 719, "note": 'a "b" ü'}
    assert (before[0].model, before[0].unknown, before[0].missing) == (
        "late-arrival/3",
        {"carrier": 1},
        {"wind": 2, "ü": 1},
    )
    assert [one.value for one in before[0].labels] == ["late", "on time", "late"]
    assert [one.value for one in before] == [
        "late", None, None, None, 0.0, 1e308, 2**63, True, 'quoted "late"\n\u2028', "", "1.0",
        "late", "late",
    ]  # fmt: skip
    assert [one.weight for one in before[-3:]] == [None, 0.25, 1e-9]
    canary, broken = before[-2].shadows
    assert (canary.model, canary.variant, canary.deployment) == ("late-arrival/4", "canary", CANARY.deployment)
    assert (canary.value, canary.probabilities) == ("on time", [0.75, 0.25])
    assert (broken.model, broken.value, broken.probabilities) == ("minutes/1", None, None)
    assert [one.shadows for one in (before[0], before[-1])] == [[], []]
    assert before[7].probabilities == [None, None]
    assert (before[8].probabilities, before[4].probabilities) == (None, None)
    numbers = dict(table.select("id", "value_number").iter_rows())
    assert math.isnan(numbers[rows[2].id])
    assert numbers[rows[3].id] == -math.inf


def test_a_damaged_part_is_told_by_its_name(logged: LoggedHome) -> None:
    row = logged.row()
    logged.predict(row)
    logged.seal()
    for path in logged.objects.folder.glob("[0-9a-f][0-9a-f]/*"):
        path.chmod(0o600)
        path.write_bytes(b"no Parquet")
    with pytest.raises(Internal, match=r"object [0-9a-f]{64} .* is damaged"):
        logged.reader.get(row.id)


def test_law_1_every_row_once_while_segments_are_sealed(logged: LoggedHome) -> None:
    ids: list[str] = []
    other = PredictionLog(logged.new_writer(), logged.clock)
    for turn in range(6):
        ids += logged.predict(*(logged.row(START + turn * MINUTE) for _ in range(5)))
        theirs = [logged.row() for _ in range(2)]
        other.append([PredictionRow(other.ids.new(), row.at, LATE, row.inputs, "late") for row in theirs])
        if turn % 2:
            logged.seal()
        found = logged.reader.scan().collect()["id"]
        assert found.n_unique() == len(found) == 7 * (turn + 1)
        assert set(ids) <= set(found)
    other.close()
    logged.seal()
    assert logged.reader.scan().collect().height == 42


def test_law_2_a_look_up_opens_one_object(logged: LoggedHome) -> None:
    ids = []
    for turn in range(4):
        ids += logged.predict(*(logged.row(START + turn * DAY) for _ in range(3)))
        logged.seal()
    for part in JournalReader(logged.journal, logged.index, logged.objects).sealed(PREDICTIONS, holding=ids[0])[1:]:
        pytest.fail(f"{part.segment} spans the id too")
    for part in logged.index.list(PREDICTIONS)[1:]:
        logged.objects.delete(part.digest)  # opening any of them would now raise
    assert logged.reader.get(ids[1]).id == ids[1]


@pytest.mark.parametrize("label_first", [True, False])
@pytest.mark.parametrize("sealed", ["neither", "first", "both", "together"])
def test_law_3_a_label_joins_wherever_both_are_kept(logged: LoggedHome, label_first: bool, sealed: str) -> None:
    row, unlabelled = logged.row(), logged.row()
    steps: list[Callable[[], object]] = [
        lambda: logged.label(row.id, "on time"),
        lambda: logged.predict(row, unlabelled),
    ]
    for number, step in enumerate(steps if label_first else steps[::-1]):
        step()
        if sealed == "both" or (sealed == "first" and number == 0) or (sealed == "together" and number == 1):
            logged.seal()
    found = logged.reader.get(row.id)
    assert found.label is not None
    assert found.label.value == "on time"
    assert logged.reader.get(unlabelled.id).label is None
    table = dict(logged.reader.scan("late").select("id", "label").collect().iter_rows())
    assert table == {row.id: '"on time"', unlabelled.id: None}


def test_law_3_the_label_that_holds_is_the_same_everywhere(logged: LoggedHome) -> None:
    prediction = logged.predict(logged.row())[0]
    logged.label(prediction, "late", observed=START + 2 * MINUTE, received=START + 3 * MINUTE)
    logged.seal()
    logged.label(prediction, "on time", observed=START + 2 * MINUTE, received=START + 4 * MINUTE)
    logged.label(prediction, "late", observed=START + MINUTE, received=START + 9 * MINUTE)
    logged.label(prediction, "late", endpoint="delay", observed=START + DAY)
    found = logged.reader.get(prediction)
    assert found.label is not None
    assert found.label.value == "on time"
    assert len(found.labels) == 3
    assert logged.reader.scan().collect()["label"].to_list() == ['"on time"']


def test_a_look_up_finds_every_record_of_a_large_file(logged: LoggedHome) -> None:
    """Ids across the borders of the pieces that a file is read in, and ids that stand inside inputs."""
    rows = [logged.row() for _ in range(12)]
    decoy = PredictionRow(logged.log.ids.new(), 0, LATE, rows[7].id.encode() * 30_000, "late")
    for row in rows:
        logged.predict(row, *([PredictionRow(decoy.id, 0, LATE, decoy.inputs, None)] if row is rows[9] else []))
        logged.log.append([PredictionRow(logged.log.ids.new(), 0, LATE, b"x" * 999_983, "late")])
        logged.label(row.id, "on time")
    for row in rows:
        found = logged.reader.get(row.id)
        assert found.label is not None
        assert (found.id, len(found.labels)) == (row.id, 1)


def test_a_scan_is_of_an_endpoint_and_a_time(logged: LoggedHome) -> None:
    ids = [logged.predict(logged.row(START + day * DAY))[0] for day in range(3)]
    logged.seal()
    ids += [logged.predict(logged.row(START + day * DAY))[0] for day in range(3, 5)]
    logged.predict(logged.row(START + DAY, source=DELAY, value=4.0))
    logged.label(ids[0], "late")
    logged.label(ids[2], "late")

    def found(**bounds: object) -> list[str]:
        return logged.reader.scan("late", **bounds).collect().sort("id")["id"].to_list()  # type: ignore[arg-type]

    assert found() == ids
    assert found(since=START + DAY) == ids[1:]
    assert found(until=START + DAY) == ids[:1]
    assert found(since=START + DAY, until=START + 4 * DAY) == ids[1:4]
    assert found(since=START + 9 * DAY) == []
    recent = logged.reader.scan("late", since=START + DAY).filter(pl.col("label").is_not_null()).collect()
    assert recent["id"].to_list() == [ids[2]]
    assert logged.reader.scan().collect().height == 6
    assert logged.reader.scan("nobody").collect().height == 0


def test_counts_by_endpoint(logged: LoggedHome) -> None:
    reader = logged.reader
    assert reader.count() == []
    ids = logged.predict(logged.row(), logged.row(), logged.row(source=DELAY, value=1.0))
    logged.label(ids[0], "late")
    expected = [
        EndpointCount(endpoint="delay", predictions=1, labels=0),
        EndpointCount(endpoint="late", predictions=2, labels=1),
    ]
    assert reader.count() == expected
    logged.seal()
    assert reader.count() == expected
    logged.predict(logged.row(source=DELAY, value=2.0))
    logged.log.append_labels([LabelRow("0" * 32, "strange", 1, 1, 1)])
    assert [(one.endpoint, one.predictions, one.labels) for one in reader.count()] == [
        ("delay", 2, 0),
        ("late", 2, 1),
        ("strange", 0, 1),
    ]


def test_what_is_not_there_is_not_found(logged: LoggedHome) -> None:
    unknown = logged.log.ids.new()
    with pytest.raises(NotFound, match=unknown):
        logged.reader.get(unknown)
    logged.predict(logged.row())
    logged.seal()
    with pytest.raises(NotFound):
        logged.reader.get(unknown)
    for text in ("", "late", "../../etc/passwd", "z" * 32, "\x00" * 32):
        with pytest.raises(Invalid, match="not an id"):
            logged.reader.get(text)
