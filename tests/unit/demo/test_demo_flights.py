"""The tables of the demo as the source systems tell of them: nothing is known before it happened."""

from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tidegate.demo import flights
from tidegate.demo.definitions import inputs
from tidegate.demo.plan import FAST, FULL, Plan
from tidegate.demo.replay import ASKED

NOW = flights.midnight(2013, 4, 1)
OUTCOMES = ["departed_at", flights.LANDS, "departure_delay_minutes", flights.DELAY, "air_time_minutes"]


@pytest.fixture(scope="module")
def schedule() -> pl.DataFrame:
    """Every flight of the year."""
    return flights.schedule()


def test_the_year_is_whole_and_in_order(schedule: pl.DataFrame) -> None:
    assert schedule.height == flights.read("flights").height == 336_776
    assert schedule[flights.DEPARTS].is_sorted()
    assert schedule["scheduled_hour"].is_between(0, 24, closed="left").all()
    assert schedule["weekday"].unique().sort().to_list() == [1, 2, 3, 4, 5, 6, 7]


def test_an_outcome_is_told_when_the_flight_has_landed_and_not_before(schedule: pl.DataFrame) -> None:
    known = flights.flown(schedule, NOW)
    assert known.height == schedule.filter(pl.col(flights.DEPARTS) < NOW).height
    due = schedule.head(known.height)
    in_the_air = due[flights.LANDS] > NOW
    assert in_the_air.sum() > 10
    assert known.filter(in_the_air).select(pl.all_horizontal(pl.col(OUTCOMES).is_null())).to_series().all()
    landed = (due[flights.LANDS] <= NOW).fill_null(value=False)
    assert_frame_equal(known.filter(landed), due.filter(landed))
    assert_frame_equal(known.drop(OUTCOMES), due.drop(OUTCOMES))


def test_landings_are_those_who_have_landed_in_that_order(schedule: pl.DataFrame) -> None:
    landed = flights.landings(schedule, NOW)
    assert landed.height == schedule.filter(pl.col(flights.LANDS) <= NOW).height
    assert landed[flights.LANDS].is_sorted()
    assert (landed[flights.LANDS] <= NOW).all()


def test_weather_is_published_an_hour_after_it_was_observed() -> None:
    seen = flights.observed(flights.weather(), NOW)["observed_at"]
    assert seen.max() == NOW - timedelta(hours=1)
    assert seen.is_sorted()


def test_a_changed_unit_touches_one_column_of_some_weeks() -> None:
    miles = flights.weather()
    since, until = FULL.broken
    told = flights.in_kilometres(miles, since, until)
    assert_frame_equal(told.drop("visibility_miles"), miles.drop("visibility_miles"))
    changed = told["visibility_miles"] != miles["visibility_miles"]
    weeks = miles["observed_at"].is_between(since, until, closed="left")
    assert (changed == (weeks & (miles["visibility_miles"] > 0))).all()
    ratio = (told["visibility_miles"] / miles["visibility_miles"]).filter(changed)
    assert ratio.min() == pytest.approx(1.609344)
    assert ratio.max() == pytest.approx(1.609344)


def test_a_damaged_copy_is_damaged_in_four_ways(schedule: pl.DataFrame) -> None:
    sound = flights.flown(schedule, NOW)
    broken = flights.damaged(sound)
    assert broken.height == sound.height
    head = {
        name: (sound[name].head(1000).ne_missing(broken[name].head(1000))).arg_true().to_list()
        for name in sound.columns
    }
    assert {name: rows for name, rows in head.items() if rows} == {
        "air_time_minutes": [17, 18, 19],
        "origin": [23, 24],
        "carrier": [41],
    }
    assert not broken[flights.DEPARTS].is_sorted()


def test_a_request_brings_what_the_service_and_its_views_ask_for() -> None:
    service = inputs()
    keys = {name for view in service.views for name in view.entity}
    assert set(service.request) | keys == set(ASKED)
    assert not set(service.request) & set(OUTCOMES)
    leaky = inputs(leaky=True)
    assert [view.event_time for view in leaky.views] == ["observed_at", flights.DEPARTS, flights.DEPARTS, None]
    assert [view.event_time for view in service.views] == ["observed_at", flights.LANDS, flights.LANDS, None]


@pytest.mark.parametrize("plan", [FULL, FAST], ids=["full", "fast"])
def test_a_plan_is_in_order_and_never_of_fewer_rows_a_day(plan: Plan, schedule: pl.DataFrame) -> None:
    kills, broken = plan.kills, plan.broken
    assert plan.since < kills[0] < kills[1] < plan.leaky < broken[0] < broken[1] < plan.until
    days = schedule.filter(pl.col(flights.DEPARTS).is_between(plan.since, plan.until, closed="left"))
    assert days[flights.DEPARTS].dt.date().n_unique() == plan.days
