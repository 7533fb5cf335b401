"""What is known of a flight before it departs: defined once, computed for training and looked up when it is served."""

from tidegate.demo.flights import DELAY, DEPARTS, LANDS
from tidegate.features.definitions import Float64, Int64, Text, count, feature_service, feature_view, mean
from tidegate.features.expressions import col
from tidegate.features.records import FeatureService

WEATHER = (
    "temperature_f",
    "humidity_percent",
    "wind_speed_mph",
    "precipitation_inches",
    "pressure_millibars",
    "visibility_miles",
)


def inputs(*, leaky: bool = False) -> FeatureService:
    """The inputs of the model.

    ``leaky``: as one writes them who does not think of when a delay is known, and stamps it at its own departure.
    """
    when = DEPARTS if leaky else LANDS
    suffix = "_leaky" if leaky else ""
    views = [
        feature_view(
            "airport_weather",
            source="weather",
            entity="origin",
            event_time="observed_at",
            delay="1h",
            ttl="3h",
            features={name: col(name) for name in WEATHER},
        ),
        *(
            feature_view(
                f"{entity}_record{suffix}",
                source="landings",
                entity=entity,
                event_time=when,
                features={
                    f"{entity}_delay_3h": mean(DELAY, over="3h"),
                    f"{entity}_landed_3h": count(over="3h"),
                    f"{entity}_landed_24h": count(over="24h"),
                },
            )
            for entity in ("carrier", "origin")
        ),
        feature_view(
            "plane",
            source="planes",
            entity="tail_number",
            features={"year_built": col("year_built"), "seats": col("seats")},
        ),
    ]
    return feature_service(
        f"late_arrival_inputs{suffix}",
        views=views,
        request={"carrier": Text, "origin": Text, "distance_miles": Int64, "scheduled_hour": Float64, "weekday": Int64},
    )
