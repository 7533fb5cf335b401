"""Views over the real flights, and a home that holds some days of them."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import polars as pl

import tidegate as tg
from tidegate.demo.flights import read
from tidegate.features.records import FeatureService
from tidegate.workspace import Workspace

FROM, UNTIL = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 6, tzinfo=UTC)
LATE = tg.col("arrival_delay_minutes") >= 15

weather = tg.feature_view(
    "airport_weather", source="weather", entity="origin", event_time="observed_at", delay="1h", ttl="3h",
    features={"wind_speed": tg.col("wind_speed_mph"), "low_visibility": tg.col("visibility_miles") < 3},
)  # fmt: skip
carrier = tg.feature_view(
    "carrier_record", source="flights", entity="carrier", event_time="arrived_at",
    features={"mean_delay_24h": tg.mean("arrival_delay_minutes", over="24h"), "arrivals_24h": tg.count(over="24h")},
)  # fmt: skip
origin = tg.feature_view(
    "origin_record", source="flights", entity="origin", event_time="arrived_at",
    features={
        "worst_3h": tg.max("arrival_delay_minutes", over="3h"),
        "share_late_3h": tg.mean(LATE, over="3h"),
        "speed_24h": tg.mean(tg.col("distance_miles") / tg.col("air_time_minutes"), over="24h"),
    },
)  # fmt: skip
planes = tg.feature_view(
    "planes", source="planes", entity="tail_number",
    features={"year_built": tg.col("year_built"), "maker": tg.col("manufacturer")},
)  # fmt: skip
INPUTS: FeatureService = tg.feature_service(
    "late_arrival_inputs", views=[weather, carrier, origin, planes],
    request={"carrier": tg.Text, "distance_miles": tg.Int64},
)  # fmt: skip


class Tables(NamedTuple):
    """The rows of some days."""

    flights: pl.DataFrame
    weather: pl.DataFrame


def tables() -> Tables:
    """The days' flights and observations."""
    return Tables(
        read("flights").filter(pl.col("scheduled_departure") < UNTIL),
        read("weather").filter(pl.col("observed_at") < UNTIL),
    )


def commit(workspace: Workspace) -> Any:
    """Commit the days; the version of the flights."""
    made = tables()
    workspace.data.commit("weather", made.weather)
    workspace.data.commit("planes", read("planes"))
    return workspace.data.commit("flights", made.flights)
