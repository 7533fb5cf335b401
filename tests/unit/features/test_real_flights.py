"""On real flights: what is served is what was trained on, bit for bit, and a leak is told with its number."""

from pathlib import Path
from typing import Any

import polars as pl

import tidegate as tg
from tests.contract.features.flight_views import INPUTS, LATE, UNTIL, tables
from tests.unit.features.tables import Served, applied, table, training_set
from tidegate.demo.flights import read
from tidegate.features.joining import Table
from tidegate.features.records import FeatureView
from tidegate.kernel.clock import to_micros

HOUR = 3600 * 10**6


def sources() -> dict[str, Table]:
    made = tables()
    whole = {"flights": made.flights, "weather": made.weather, "planes": read("planes")}
    return {name: table(name, frame.cast({pl.Int32: pl.Int64})) for name, frame in whole.items()}


def test_five_days_pushed_as_they_happen_are_served_as_they_are_trained_on(tmp_path: Path) -> None:
    """Rows are pushed hour by hour as they become known; each hour's departures are asked for when it is over."""
    known = sources()
    service = applied(INPUTS.views, known, INPUTS.request)
    made = training_set(service, known, "flights", at="scheduled_departure", label=LATE)
    served = Served(service, tmp_path / "online.db")
    served.push(3, known["planes"].frame.to_dicts())
    observed = known["weather"].frame.with_columns(due=pl.col("observed_at").dt.offset_by("1h"))
    landed = known["flights"].frame.with_columns(due=pl.col("arrived_at"))
    asked = made.frame.with_row_index().with_columns(request=pl.Series(made.requests()))
    names = [one.name for one in service.inputs]
    rows = 0
    for hour in range(to_micros(UNTIL) // HOUR - 5 * 24, to_micros(UNTIL) // HOUR):
        now = (hour + 1) * HOUR
        for view, frame in ((0, observed), (1, landed), (2, landed)):
            fresh = in_hour(frame, "due", hour).drop("due")
            served.push(view, fresh.to_dicts(), now=now)
        departures = in_hour(asked, "scheduled_departure", hour)
        moments = departures["scheduled_departure"].to_physical().to_list()
        answers = served.answer(departures["request"].to_list(), moments)
        assert answers == departures.select(names).to_dicts()
        rows += len(answers)
    served.store.close()
    assert rows == made.frame.height > 4000


def in_hour(frame: pl.DataFrame, column: str, hour: int) -> pl.DataFrame:
    return frame.filter(pl.col(column).to_physical() // HOUR == hour)


def mean_delay(**when: Any) -> FeatureView:
    features = {"mean_delay_24h": tg.mean("arrival_delay_minutes", over="24h")}
    return tg.feature_view("carrier_record", source="flights", entity="carrier", features=features, **when)


def test_a_delay_that_is_known_at_departure_is_a_leak_and_the_lint_counts_it() -> None:
    known = sources()
    wanted: dict[str, Any] = {"at": "scheduled_departure", "label": LATE, "label_known_at": "arrived_at"}
    leaky = training_set(applied([mean_delay(event_time="scheduled_departure")], known), known, "flights", **wanted)
    true = mean_delay(event_time="scheduled_departure", known_at="arrived_at")
    sound = training_set(applied([true], known), known, "flights", **wanted)
    labelled = sound.frame["arrived_at"].is_not_null()
    differs = leaky.frame["mean_delay_24h"].ne_missing(sound.frame["mean_delay_24h"]) & labelled
    (finding,) = [one for one in leaky.lint if one.kind == "label_column"]
    assert (finding.rows, finding.of) == (differs.sum(), labelled.sum())
    assert finding.share > 0.9
    assert f"{100 * finding.share:.1f} %" in finding.message
    assert "known_at=" in finding.message
    (availability,) = [one for one in sound.lint if one.kind == "availability"]
    assert availability.rows == finding.rows
    landed = training_set(applied([mean_delay(event_time="arrived_at")], known), known, "flights", **wanted)
    assert [one.kind for one in landed.lint] == ["never_known"], "by landing time nothing is known too early"
