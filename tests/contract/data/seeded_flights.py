"""Seeded tables that look like a month of flights."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

CARRIERS = ("AA", "B6", "DL", "UA")


def flights(rows: int = 600, seed: int = 1, month: int = 1) -> pl.DataFrame:
    """A month of flights, sorted by departure; about three in a hundred were cancelled."""
    draw = np.random.default_rng(seed)
    start = int(datetime(2013, month, 1, tzinfo=UTC).timestamp() * 1e6)
    departures = np.sort(draw.integers(0, 28 * 86400, rows)) * 1_000_000 + start
    cancelled = draw.random(rows) < 0.03
    delays = np.round(draw.normal(5, 30, rows)).astype(int)
    return pl.DataFrame(
        {
            "carrier": draw.choice(CARRIERS, rows),
            "flight_number": draw.integers(1, 6000, rows),
            "distance_miles": draw.choice([94, 200, 733, 1400, 2475, 4983], rows),
            "wind_speed_mph": np.round(draw.gamma(3, 4, rows), 2),
            "scheduled_departure": pl.Series(departures).cast(pl.Datetime("us", "UTC")),
            "arrival_delay_minutes": [
                None if gone else int(delay) for gone, delay in zip(cancelled, delays, strict=True)
            ],
            "on_time": delays < 15,
        }
    )


def counted(first: int, rows: int = 5) -> pl.DataFrame:
    """A few rows that teach a contract which any other such rows keep."""
    return pl.DataFrame({"n": range(first, first + rows)})
