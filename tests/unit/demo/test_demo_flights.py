"""The rows of the demo: how many, which ones, and that nothing is known of a flight that was not known in time."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from tidegate.demo import flights


@pytest.fixture(scope="module")
def learning() -> pl.DataFrame:
    """The flights to learn from and to judge on."""
    return flights.learning()


@pytest.fixture(scope="module")
def traffic() -> pl.DataFrame:
    """The flights to serve."""
    return flights.traffic()


def test_counts_are_those_that_are_promised(learning: pl.DataFrame, traffic: pl.DataFrame) -> None:
    arrived = learning.filter(pl.col(flights.LABEL).is_not_null())
    before = arrived[flights.ORDER] < flights.HELD_OUT_FROM
    assert (int(before.sum()), int((~before).sum())) == (flights.TRAINED, flights.HELD_OUT)
    assert traffic.height == flights.SERVED


def test_everything_learnt_from_had_landed_before_what_it_is_judged_on_departed(
    learning: pl.DataFrame, traffic: pl.DataFrame
) -> None:
    trained = learning.filter(pl.col(flights.ORDER) < flights.HELD_OUT_FROM)
    assert (trained["arrived_at"].drop_nulls() < flights.HELD_OUT_FROM).all()
    assert (learning["arrived_at"].drop_nulls() < traffic[flights.ORDER][0]).all()


def test_flights_are_consecutive(learning: pl.DataFrame, traffic: pl.DataFrame) -> None:
    schedule, order = flights.read("flights"), pl.col(flights.ORDER)
    in_the_air = (order < flights.HELD_OUT_FROM) & (pl.col("arrived_at") >= flights.HELD_OUT_FROM)
    for rows, left_out in ((learning, in_the_air), (traffic, pl.lit(value=False))):
        between = (order > rows[flights.ORDER][0]) & (order < rows[flights.ORDER][-1])
        assert schedule.filter(between & ~left_out.fill_null(value=False)).height == rows.filter(between).height


def test_weather_is_the_newest_that_was_an_hour_old(traffic: pl.DataFrame) -> None:
    weather = flights.read("weather")
    for place in np.random.default_rng(7).choice(traffic.height, 40, replace=False):
        row = traffic.row(int(place), named=True)
        seen = weather.filter(
            (pl.col("origin") == row["origin"]) & (pl.col("observed_at") <= row[flights.ORDER] - timedelta(hours=1))
        ).sort("observed_at")
        newest = seen.row(-1, named=True)
        names = [name for name in flights.FEATURES if name in newest and name != "origin"]
        assert len(names) == 6
        assert {name: row[name] for name in names} == {name: newest[name] for name in names}


def test_no_feature_is_known_only_afterwards() -> None:
    told_later = {"departed_at", "arrived_at", "departure_delay_minutes", "arrival_delay_minutes", "air_time_minutes"}
    assert not told_later & set(flights.FEATURES)
    assert flights.LABEL not in flights.FEATURES


def test_a_damaged_copy_differs_in_four_cells(learning: pl.DataFrame) -> None:
    broken = flights.damaged(learning)
    differing = [(learning[name] != broken[name]).arg_true().to_list() for name in ("carrier", "distance_miles")]
    assert differing == [[41], [17, 18, 19]]
