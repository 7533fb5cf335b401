"""Boundaries to the microsecond, ties and duplicates, what is forgotten, and views that make no sense."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

import tidegate as tg
from tests.unit.features.tables import EPOCH, Served, applied, instant, table, training_set
from tidegate.features.history import DTYPES
from tidegate.features.packed import BEGINNING, Column, Entity, Layout
from tidegate.features.records import Aggregate, FeatureView
from tidegate.features.rules import REMEMBERED
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Conflict, Invalid

BASE = to_micros(EPOCH)
SCHEMA: dict[str, Any] = {"id": pl.Int64, "entity": pl.String, "event": pl.Datetime("us", "UTC"), "x": pl.Float64}


def source(*rows: tuple[int, int | None, float | None], entity: str = "a") -> dict[str, Any]:
    """Rows of (id, event time, value)."""
    frame = [{"id": id_, "entity": entity, "event": instant(event), "x": x} for id_, event, x in rows]
    return {"source": table("source", pl.DataFrame(frame, schema=SCHEMA))}


def labels(*moments: int) -> Any:
    frame = pl.DataFrame({"entity": ["a"] * len(moments), "at": [instant(one) for one in moments]})
    return table("labels", frame.with_columns(label=pl.lit(True), at=pl.col("at").cast(pl.Datetime("us", "UTC"))))


def state(**more: Any) -> FeatureView:
    return tg.feature_view(
        "view", source="source", entity="entity", event_time="event", features={"x2": tg.col("x")}, **more
    )


def window(over: str = "10us", **more: Any) -> FeatureView:
    features = {"n": tg.count(over=over), "total": tg.sum("x", over=over), "mean": tg.mean("x", over=over)}
    return tg.feature_view("view", source="source", entity="entity", event_time="event", features=features, **more)


def column(view: FeatureView, tables: dict[str, Any], name: str, *moments: int) -> list[Any]:
    tables = tables | {"labels": labels(*moments)}
    return training_set(applied([view], tables), tables, "labels").frame[name].to_list()


def test_a_state_lives_to_its_ttl_and_not_a_microsecond_longer() -> None:
    tables = source((1, 100, 7.0))
    assert column(state(ttl="50us"), tables, "x2", 99, 100, 150, 151) == [None, 7.0, 7.0, None]
    assert column(state(ttl="0us"), tables, "x2", 99, 100, 101) == [None, 7.0, None]
    assert column(state(delay="5us"), tables, "x2", 104, 105) == [None, 7.0]


def test_a_window_holds_its_beginning_and_not_its_end() -> None:
    tables = source((1, 100, 7.0), (2, 105, None))
    assert column(window(), tables, "n", 100, 101, 105, 106, 110, 111, 115, 116) == [0, 1, 1, 2, 2, 1, 1, 0]
    assert column(window(), tables, "total", 100, 101, 110, 111) == [None, 7.0, 7.0, None]
    assert column(window(delay="8us"), tables, "n", 107, 108, 110, 111, 113) == [0, 1, 1, 0, 1]


def test_ties_are_refused_unless_the_rows_are_equal() -> None:
    assert column(state(), source((1, 100, 7.0), (2, 100, 7.0)), "x2", 100) == [7.0]
    with pytest.raises(Invalid, match=r"1 rows of source repeat an entity and an event time"):
        column(state(), source((1, 100, 7.0), (2, 100, 8.0)), "x2", 100)


def test_a_static_view_has_one_row_an_entity() -> None:
    view = tg.feature_view("view", source="source", entity="entity", features={"x2": tg.col("x")})
    assert column(view, source((1, None, 7.0)), "x2", 0) == [7.0]
    with pytest.raises(Invalid, match="repeat an entity"):
        column(view, source((1, 5, 7.0), (2, 6, 7.0)), "x2", 0)


def test_a_row_that_is_there_twice_is_one_event_and_is_told_of() -> None:
    tables = source((1, 100, 7.0), (1, 100, 7.0), (2, 100, 7.0), (3, None, 7.0)) | {"labels": labels(105)}
    made = training_set(applied([window()], tables), tables, "labels")
    assert made.frame["n"].to_list() == [2]
    assert [(one.kind, one.rows) for one in made.lint] == [("never_known", 1), ("duplicates", 1)]


def test_sums_beyond_64_bits_are_null_on_both_sides() -> None:
    frame = pl.DataFrame({"id": [1, 2, 3], "entity": ["a"] * 3, "event": [instant(0)] * 3, "x": [2**62] * 3})
    tables = {"source": table("source", frame.cast({"event": pl.Datetime("us", "UTC")}))}
    assert column(window(), tables, "total", 5) == [None]
    assert column(window(), tables, "n", 5) == [3]


@pytest.fixture
def served(tmp_path: Path) -> Any:
    made = Served(applied([window("1h"), msgspec_named(state(ttl="1h"))], source((1, 1, 1.0))), tmp_path / "online.db")
    yield made
    made.store.close()


def msgspec_named(view: FeatureView) -> FeatureView:
    """The view under another name."""
    return msgspec.structs.replace(view, name="other")


def row(id_: int, micros: int, x: float | None = 1.0) -> dict[str, Any]:
    return {"id": id_, "entity": "a", "event": instant(micros), "x": x}


def test_a_late_push_never_hides_a_newer_one(served: Served) -> None:
    served.push(1, [row(1, 2000, 5.0)])
    served.push(1, [row(2, 1000, 9.0)])
    assert served.answer([{"entity": "a"}] * 3, [BASE + 999, BASE + 1500, BASE + 2500]) == [
        {"n": 0, "total": None, "mean": None, "x2": None},
        {"n": 0, "total": None, "mean": None, "x2": 9.0},
        {"n": 0, "total": None, "mean": None, "x2": 5.0},
    ]
    with pytest.raises(Conflict, match="other values already"):
        served.push(1, [row(3, 2000, 6.0)])


def test_two_hours_are_remembered_and_before_that_is_refused(served: Served) -> None:
    hour = 3600 * 10**6
    served.push(0, [row(number, number * hour) for number in range(12)])
    served.push(1, [row(number, number * hour, float(number)) for number in range(12)])
    newest = BASE + 11 * hour
    answers = served.answer([{"entity": "a"}] * 2, [newest - REMEMBERED, newest + 1])
    assert [one["n"] for one in answers] == [1, 1]
    assert [one["x2"] for one in answers] == [9.0, 11.0]
    with pytest.raises(Invalid, match=r"rows\[1\]\.at: .* is before what the online store remembers"):
        served.answer([{"entity": "a"}] * 2, [newest, newest - REMEMBERED - 1])


def test_a_push_is_whole_or_not_at_all_and_seen_by_everybody(served: Served, tmp_path: Path) -> None:
    other = Served(served.service, tmp_path / "online.db")
    assert other.answer([{"entity": "a"}], [BASE + 50])[0]["n"] == 0
    with pytest.raises(Invalid, match=r"rows\[1\]\.x: expected a finite number or null, got a huge integer"):
        served.push(0, [row(1, 10), row(2, 20) | {"x": 10**400}])
    assert other.answer([{"entity": "a"}], [BASE + 50])[0]["n"] == 0
    served.push(0, [row(1, 10)])
    assert other.answer([{"entity": "a"}], [BASE + 50])[0]["n"] == 1
    other.push(0, [row(2, 20)])
    assert served.answer([{"entity": "a"}], [BASE + 50])[0]["n"] == 2
    other.store.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"event": "2013-01-01T00:00:00"}, r"rows\[0\]\.event .* has no time zone"),
        ({"event": 5}, r"rows\[0\]\.event: expected an instant"),
        ({"event": "9999-01-01T00:00:00Z"}, r"rows\[0\]\.event: the row is known only from 9999"),
        ({"x": float("nan")}, r"rows\[0\]\.x: expected a finite number or null, got nan"),
        ({"x": float("inf")}, "expected a finite number"),
        ({"x": True}, "expected a finite number"),
        ({"id": 2**63}, r"rows\[0\]\.id: expected an integer of 64 bits"),
        ({"entity": "\ud800"}, r"rows\[0\]\.entity: the text is not valid Unicode"),
        ({"stranger": 1}, r"rows\[0\]\.stranger: source has no such column; it has id, entity"),
    ],
)
def test_a_pushed_row_that_does_not_fit_is_named(served: Served, change: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        served.push(0, [row(1, 10) | change], now=BASE + 1000)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"entity": 5}, r"rows\[0\]\.entity: expected text or null, got 5"),
        ({}, r"rows\[0\]\.entity: it is missing"),
        ({"entity": "a", "stranger": 1}, r"rows\[0\]\.stranger: .* takes no such field; it takes entity"),
    ],
)
def test_a_request_that_does_not_fit_is_named(served: Served, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        served.answer([asked], [BASE])


def test_packed_rows_that_are_none_are_refused(served: Served) -> None:
    layout = Layout(served.service.views[0])
    moment = np.array([BASE], np.int64).tobytes()
    columns = [Column(np.ones(1, DTYPES[kind]).tobytes(), b"\1") for kind in layout.types]
    sound = Entity(BEGINNING, moment, moment, moment, columns)
    assert layout.rows(layout.unpack(sound.pack())).event == [BASE]
    infinite = Column(np.array([np.nan]).tobytes(), b"\1")
    changes: list[dict[str, Any]] = [
        {"floor": 2**62},
        {"known": np.array([2**63 - 1]).tobytes()},
        {"known": np.array([BASE + 1]).tobytes()},
        {"event": moment * 2},
        {"event": moment + b"\0"},
        {"columns": []},
        {"columns": columns * 2},
        {"columns": [infinite]},
        {"columns": [Column(["1"], b"\1")]},
        {"columns": [Column(columns[0].data, b"")]},
    ]
    for change in changes:
        wrong: Entity = msgspec.structs.replace(sound, **change)
        with pytest.raises(Invalid, match="no packed rows of view 'view'"):
            layout.unpack(wrong.pack())
    for raw in (b"", b"anything", b"\x95\xcf" + b"\xff" * 8):
        with pytest.raises(Invalid, match="no packed rows"):
            layout.unpack(raw)


def test_rows_that_were_packed_at_greater_length_are_read(served: Served) -> None:
    layout = Layout(served.service.views[0])
    moment = np.array([BASE], np.int64).tobytes()
    counted, value = Column(b"\1", b"\1"), Column(np.array([7.0]).tobytes(), b"\1")
    old = Entity(BEGINNING, moment, moment, moment, [counted, value, value])
    assert layout.unpack(old.pack()) == msgspec.structs.replace(old, known=b"", columns=[value])
    read = layout.history([layout.unpack(old.pack())]).columns
    assert [one.cells() for one in read] == [[], [7.0], [7.0]], "a count reads no column, and two read the same"


def test_an_unknown_entity_counts_nothing_and_no_entity_is_null(served: Served) -> None:
    served.push(0, [row(1, 10)])
    unknown, nobody = served.answer([{"entity": "z"}, {"entity": None}], [BASE + 50] * 2)
    assert unknown == {"n": 0, "total": None, "mean": None, "x2": None}
    assert nobody == {"n": None, "total": None, "mean": None, "x2": None}


def test_views_that_are_alike_do_not_mix(tmp_path: Path) -> None:
    """They are read as one history, each with its own entities."""
    by_id = msgspec.structs.replace(window("1h"), name="other", entity=("id",))
    served = Served(applied([window("1h"), by_id], source((1, 1, 1.0))), tmp_path / "online.db")
    for view in (0, 1):
        served.push(view, [row(1, 10, 2.0), row(2, 20, 3.0)])
    asked: list[dict[str, Any]] = [
        {"entity": "a", "id": 1},
        {"entity": None, "id": 2},
        {"entity": "z", "id": 9},
        {"entity": "a", "id": None},
    ]
    answers = served.answer(asked, [BASE + 50] * 4)
    assert [(one["view__n"], one["view__total"]) for one in answers] == [(2, 5.0), (None, None), (0, None), (2, 5.0)]
    assert [(one["other__n"], one["other__mean"]) for one in answers] == [(1, 2.0), (1, 3.0), (0, None), (None, None)]
    assert served.answer([], []) == []
    served.store.close()


NONSENSE: dict[str, tuple[dict[str, Any], str]] = {
    "an absent column": ({"entity": "nobody"}, "entity: the source has no column 'nobody'"),
    "a time that is none": ({"event_time": "x"}, "time 'x' is of type Float64: it takes Instant"),
    "two ways of knowing": ({"known_at": "event", "delay": 1}, "known_at and delay"),
    "static with a ttl": ({"event_time": None, "ttl": 5}, "has no event_time, so it is static"),
    "an endless window": ({"features": {"a": Aggregate("count", 2**62)}}, "ten years"),
    "a mixture": ({"features": {"a": Aggregate("count", 5), "b": tg.col("x")}}, "mixes aggregates"),
    "a window with a ttl": ({"ttl": 5, "features": {"a": Aggregate("count", 5)}}, "has no ttl"),
    "a mean of nothing": ({"features": {"a": Aggregate("mean", 5)}}, "mean takes a column"),
    "a mean of text": ({"features": {"a": Aggregate("mean", 5, tg.col("entity"))}}, "not text"),
    "an instant": ({"features": {"a": tg.col("event")}}, "is of type Instant, which is no feature"),
    "no features": ({"features": {}}, "has 0 features"),
    "a name": ({"name": "a/b"}, "is not a name"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_a_view_that_makes_no_sense_is_refused(what: str) -> None:
    change, told = NONSENSE[what]
    if isinstance(change.get("entity"), str):
        change = change | {"entity": (change["entity"],)}
    with pytest.raises(Invalid, match=told):
        applied([msgspec.structs.replace(state(), **change)], source((1, 1, 1.0)))


def test_names_that_clash_get_the_view_in_front() -> None:
    tables = source((1, 1, 1.0)) | {"labels": labels(5)}
    service = applied([state(), msgspec_named(state())], tables)
    assert [one.name for one in service.inputs] == ["view__x2", "other__x2"]
    with pytest.raises(Invalid, match="'2 days' is no duration"):
        tg.count(over="2 days")
