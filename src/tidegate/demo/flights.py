"""A year of real flights from New York, as the systems upstream tell of them: what has happened by a moment."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

DEPARTS = "scheduled_departure"
LANDS = "arrived_at"
DELAY = "arrival_delay_minutes"
LANDED = ("carrier", "flight_number", "origin", DEPARTS, LANDS, DELAY)
"""What the airport tells of a flight when it has landed."""

LATE_MINUTES = 15
"""A flight is late that arrives so many minutes after its time, or more."""

WEATHER_LAG = timedelta(hours=1)
"""So long after it was observed is the weather published."""

_NEW_YORK = "America/New_York"
_OUTCOMES = ("departed_at", LANDS, "departure_delay_minutes", DELAY, "air_time_minutes")
_KILOMETRES = 1.609344


def read(table: Literal["flights", "weather", "planes"]) -> "pl.DataFrame":
    """A table of the shipped data as it is; its README says what it holds. All instants are UTC."""
    import polars as pl

    return pl.read_parquet(Path(__file__).parent / "data" / f"{table}.parquet")


def schedule() -> "pl.DataFrame":
    """Every flight of the year by scheduled departure, with the hour and the weekday of the clock on the wall."""
    import polars as pl

    local = pl.col(DEPARTS).dt.convert_time_zone(_NEW_YORK)
    return (
        read("flights")
        .sort(DEPARTS, maintain_order=True)
        .with_columns(
            scheduled_hour=local.dt.hour() + local.dt.minute() / 60,
            weekday=local.dt.weekday().cast(pl.Int64),
        )
    )


def flown(flights: "pl.DataFrame", now: datetime) -> "pl.DataFrame":
    """Of a `schedule` what is known at a moment: flights that were due to leave before it, landed ones with outcome."""
    import polars as pl

    landed = pl.col(LANDS) <= now
    outcomes = [pl.when(landed).then(pl.col(name)).alias(name) for name in _OUTCOMES]
    return flights.filter(pl.col(DEPARTS) < now).with_columns(outcomes)


def landings(flights: "pl.DataFrame", now: datetime) -> "pl.DataFrame":
    """Of a `schedule` the flights that have landed by a moment, in that order, as the airport tells of each."""
    import polars as pl

    return flights.filter(pl.col(LANDS) <= now).select(LANDED).sort(LANDS, maintain_order=True)


def weather() -> "pl.DataFrame":
    """Every hourly observation of the year, in the order in which they were made."""
    return read("weather").sort("observed_at", "origin", maintain_order=True)


def observed(observations: "pl.DataFrame", now: datetime) -> "pl.DataFrame":
    """Of the `weather` what has been published by a moment."""
    import polars as pl

    return observations.filter(pl.col("observed_at") <= now - WEATHER_LAG)


def in_kilometres(observations: "pl.DataFrame", since: datetime, until: datetime) -> "pl.DataFrame":
    """The weather as it is when the source tells visibility in kilometres for some weeks, under the same name."""
    import polars as pl

    broken = pl.col("observed_at").is_between(since, until, closed="left")
    told = pl.when(broken).then(pl.col("visibility_miles") * _KILOMETRES).otherwise("visibility_miles")
    return observations.with_columns(told.alias("visibility_miles"))


def damaged(flights: "pl.DataFrame") -> "pl.DataFrame":
    """A copy as a careless export leaves it.

    Three air times in seconds, two origins missing, a carrier that nobody knows, and two days in the wrong order.
    """
    import polars as pl

    row, air = pl.int_range(pl.len()), pl.col("air_time_minutes")
    spoilt = flights.with_columns(
        pl.when(row.is_in([17, 18, 19])).then(air * 60).otherwise(air).alias("air_time_minutes"),
        pl.when(row.is_in([23, 24])).then(None).otherwise("origin").alias("origin"),
        pl.when(row == 41).then(pl.lit("??")).otherwise("carrier").alias("carrier"),
    )
    return pl.concat([spoilt.slice(0, 1000), spoilt.slice(2000, 1000), spoilt.slice(1000, 1000), spoilt.slice(3000)])


def midnight(year: int, month: int, day: int) -> datetime:
    """The beginning of a day, UTC."""
    return datetime(year, month, day, tzinfo=UTC)
