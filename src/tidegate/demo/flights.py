"""A year of real flights from New York with the weather there, and the rows that the demo learns from and serves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

FEATURES = (
    "carrier",
    "origin",
    "distance_miles",
    "scheduled_hour",
    "weekday",
    "temperature_f",
    "humidity_percent",
    "wind_speed_mph",
    "precipitation_inches",
    "pressure_millibars",
    "visibility_miles",
)
"""What is known of a flight before it departs."""

LABEL = "late"
"""Whether it arrived 15 minutes late or more; null where it was cancelled or diverted."""

ORDER = "scheduled_departure"

HELD_OUT_FROM = datetime(2013, 6, 24, 8, tzinfo=UTC)
"""Four in the morning in New York: what landed before is learnt from, what departs later is held out."""

TRAINED, HELD_OUT, SERVED = 5_000, 2_000, 1_000

_WEATHER = FEATURES[5:]
_PUBLISHED_AFTER = timedelta(hours=1)
_STALE_AFTER = "3h"
_NEW_YORK = "America/New_York"


def read(table: Literal["flights", "weather", "planes"]) -> "pl.DataFrame":
    """A table of the shipped data as it is; its README says what it holds. All instants are UTC."""
    import polars as pl

    return pl.read_parquet(Path(__file__).parent / "data" / f"{table}.parquet")


def departures(flights: "pl.DataFrame", weather: "pl.DataFrame") -> "pl.DataFrame":
    """The flights by scheduled departure, with `FEATURES`, `LABEL` and when each one arrived.

    Weather is the origin's newest observation that was an hour old or more by then, null where that is staler than
    three hours more.
    """
    import polars as pl

    local = pl.col(ORDER).dt.convert_time_zone(_NEW_YORK)
    asked = flights.sort(ORDER, maintain_order=True).with_columns(
        known_by=pl.col(ORDER) - _PUBLISHED_AFTER,
        scheduled_hour=local.dt.hour() + local.dt.minute() / 60,
        weekday=local.dt.weekday().cast(pl.Int64),
        late=pl.col("arrival_delay_minutes") >= 15,
    )
    joined = asked.join_asof(
        weather.sort("observed_at"),
        left_on="known_by",
        right_on="observed_at",
        by="origin",
        strategy="backward",
        tolerance=_STALE_AFTER,
        check_sortedness=False,
    )
    return joined.select(ORDER, *FEATURES, "arrived_at", LABEL)


def learning() -> "pl.DataFrame":
    """Consecutive flights: 5,000 that landed before `HELD_OUT_FROM`, and 2,000 that departed later.

    Those that never arrived are among them, with a null `LABEL`; the few in the air at `HELD_OUT_FROM` are not.
    """
    return departures(learning_flights(), read("weather"))


def learning_flights() -> "pl.DataFrame":
    """The rows of the table of flights that `learning` is made from."""
    import polars as pl

    flights = read("flights").sort(ORDER, maintain_order=True)
    held_out, arrived = pl.col(ORDER) >= HELD_OUT_FROM, pl.col("arrived_at").is_not_null()
    known = flights.filter(held_out | pl.col("arrived_at").is_null() | (pl.col("arrived_at") < HELD_OUT_FROM))
    trained = known.select((arrived & ~held_out).arg_true()).to_series()[-TRAINED]
    last = known.select((arrived & held_out).arg_true()).to_series()[HELD_OUT - 1]
    return known.slice(trained, last - trained + 1)


def learning_weather() -> "pl.DataFrame":
    """The observations of the days of `learning`."""
    import polars as pl

    departed = learning_flights()[ORDER]
    return read("weather").filter(pl.col("observed_at").is_between(departed[0] - timedelta(hours=4), departed[-1]))


def traffic() -> "pl.DataFrame":
    """The 1,000 flights that were scheduled from the first morning on which all of `learning` had landed."""
    import polars as pl

    morning = HELD_OUT_FROM
    landed = learning_flights()["arrived_at"]
    while (landed >= morning).any():
        morning += timedelta(days=1)
    flights = read("flights").filter(pl.col(ORDER) >= morning).sort(ORDER, maintain_order=True)
    return departures(flights.head(SERVED), read("weather"))


def damaged(flights: "pl.DataFrame") -> "pl.DataFrame":
    """A copy as a careless export leaves it: three distances with a sign, and a carrier that does not exist."""
    import polars as pl

    row, distance = pl.int_range(pl.len()), pl.col("distance_miles")
    return flights.with_columns(
        pl.when(row.is_in([17, 18, 19])).then(-distance).otherwise(distance).alias("distance_miles"),
        pl.when(row == 41).then(pl.lit("??")).otherwise("carrier").alias("carrier"),
    )
