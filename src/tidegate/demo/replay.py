"""The demo's client: hour by hour it tells what has landed and what the weather was, asks, and tells the labels.

One request asks about all departures of an hour, when the hour is over, each row as of its own departure. What a
request acknowledges is kept, so that at the end every answer can be looked for in the log.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidegate.demo import flights
from tidegate.demo.connection import Connection, Post
from tidegate.kernel.clock import to_micros

ASKED: Final = ("carrier", "origin", "distance_miles", "scheduled_hour", "weekday", "tail_number")
"""What a client knows of a flight: the request's own features, and the keys by which the others are looked up."""

HOUR: Final = timedelta(hours=1)
_HOUR_MICROS: Final = 3_600_000_000


class Kept(NamedTuple):
    """Everything that was acknowledged, and how often it had to be asked for."""

    predictions: pl.DataFrame
    """One row an acknowledged prediction: `id`, `at`, `value`, `probability`, and `asked`, the JSON that was sent."""
    labels: pl.DataFrame
    """One row an acknowledged label: `id`, `label`, `observed_at`."""
    requests: int
    retried: int


class _Asked(NamedTuple):
    """An hour whose answers are still to be read."""

    start: int
    """Microseconds."""
    posts: int
    trips: range


class Replay:
    """Replays the flights from one moment on. Not thread-safe."""

    def __init__(self, schedule: pl.DataFrame, weather: pl.DataFrame, port: int, endpoint: str) -> None:
        self._connection = Connection(port)
        self._predict = f"/api/v1/endpoints/{endpoint}/predict"
        self._labels_path = f"/api/v1/endpoints/{endpoint}/labels"
        self._departs = schedule[flights.DEPARTS].dt.epoch("us").to_numpy()
        self._at = _instants(schedule[flights.DEPARTS])
        self._rows = _encoded(schedule.select(ASKED))
        late = schedule[flights.DELAY] >= flights.LATE_MINUTES
        landed = schedule.with_row_index("trip").with_columns(late=late).drop_nulls(flights.LANDS)
        landed = landed.drop_nulls("late").sort(flights.LANDS, maintain_order=True)
        self._lands = landed[flights.LANDS].dt.epoch("us").to_numpy()
        self._landed_trips: NDArray[np.int64] = landed["trip"].cast(pl.Int64).to_numpy()
        self._landed_at = _instants(landed[flights.LANDS])
        self._late: list[bool] = landed["late"].to_list()
        self._landings = _encoded(landed.select(flights.LANDED))
        self._weather_known = (weather["observed_at"] + flights.WEATHER_LAG).dt.epoch("us").to_numpy()
        self.weather = weather
        self._ids: list[str | None] = [None] * len(self._rows)
        self._values: list[bool] = []
        self._shares: list[float] = []
        self._answered: list[range] = []
        self._told: list[tuple[str, int]] = []
        self._to_tell: list[tuple[str, int]] = []
        self._next = datetime.min.replace(tzinfo=UTC)
        self._asked: _Asked | None = None
        self.requests = 0
        """For predictions."""

    @property
    def weather(self) -> pl.DataFrame:
        """The weather as the source tells it; another one may be set while the replay goes on."""
        return self._weather

    @weather.setter
    def weather(self, told: pl.DataFrame) -> None:
        self._weather = told
        self._observations = _encoded(told)

    @property
    def acknowledged(self) -> int:
        """Predictions that were acknowledged so far."""
        return len(self._values)

    def day(self, day: datetime) -> Iterator[datetime]:
        """Replay the 24 hours from a moment on; yields the end of each hour when it is asked about.

        The answers to an hour are read while the server is busy with the next one.
        """
        for number in range(24):
            hour = day + number * HOUR
            if hour >= self._next:
                asked = self._ask(hour)
                self._hear()
                self._asked = asked
            yield hour + HOUR
        self.catch_up()

    def hour(self, hour: datetime) -> None:
        """Replay the hour from a moment on, all of it; what was asked before must have been answered."""
        self._asked = self._ask(hour)
        self.catch_up()

    def catch_up(self) -> None:
        """Wait for all answers, and tell the labels of what has landed until now."""
        self._hear()
        labels = self._labels()
        self._connection.send(labels)
        self._connection.receive(len(labels))

    def close(self) -> None:
        """Close the connection to the server."""
        self._connection.close()

    def _ask(self, hour: datetime) -> "_Asked":
        """Send what there is to tell and to ask when an hour is over."""
        start, self._next = to_micros(hour), hour + HOUR
        posts = self._labels()
        told = [
            (("airport_weather",), _between(self._weather_known, self._observations, start)),
            (("carrier_record", "origin_record"), _between(self._lands, self._landings, start)),
        ]
        pushes = [{"views": views, "rows": rows} for views, rows in told if rows]
        if pushes:
            posts.append(Post("/api/v1/features/rows", {"pushes": pushes}, self._next))
        first, last = (int(place) for place in np.searchsorted(self._departs, [start, start + _HOUR_MICROS]))
        if first < last:
            asked = {"rows": self._rows[first:last], "at": self._at[first:last]}
            posts.append(Post(self._predict, asked, self._next))
        self._connection.send(posts)
        return _Asked(start, len(posts), range(first, last))

    def _hear(self) -> None:
        """Read the answers to the hour that was asked about last, and find what has landed in it."""
        asked, self._asked = self._asked, None
        if asked is None:
            return
        replies = self._connection.receive(asked.posts)
        if asked.trips:
            self._keep(replies[-1], asked.trips)
        self._to_tell += self._landed(asked.start)

    def kept(self) -> Kept:
        """What was acknowledged so far."""
        instant = pl.Datetime("us", "UTC")
        trips = [trip for some in self._answered for trip in some]
        answers = {
            "id": [self._ids[trip] for trip in trips],
            "at": self._departs[trips],
            "value": self._values,
            "probability": self._shares,
            "asked": [bytes(self._rows[trip]).decode() for trip in trips],
        }
        types = {"id": pl.String, "at": pl.Int64, "value": pl.Boolean, "probability": pl.Float64, "asked": pl.String}
        predictions = pl.DataFrame(answers, schema=types).with_columns(pl.col("at").cast(instant))
        places = [place for _, place in self._told]
        told = {
            "id": [prediction for prediction, _ in self._told],
            "label": [self._late[place] for place in places],
            "observed_at": self._lands[places],
        }
        types = {"id": pl.String, "label": pl.Boolean, "observed_at": pl.Int64}
        labels = pl.DataFrame(told, schema=types).with_columns(pl.col("observed_at").cast(instant))
        return Kept(predictions, labels, self.requests, self._connection.retried)

    def _labels(self) -> list[Post]:
        """The labels that are to be told, if any."""
        telling, self._to_tell = self._to_tell, []
        if not telling:
            return []
        self._told += telling
        labels = [
            {"prediction_id": prediction, "value": self._late[place], "observed_at": self._landed_at[place]}
            for prediction, place in telling
        ]
        return [Post(self._labels_path, {"labels": labels}, self._next)]

    def _keep(self, reply: bytes, trips: range) -> None:
        """Keep what was answered about these."""
        self.requests += 1
        answers = _ANSWER(reply).predictions
        self._answered.append(trips)
        self._ids[trips.start : trips.stop] = [each.id for each in answers]
        self._values += [each.value for each in answers]
        self._shares += [each.probabilities["true"] for each in answers]

    def _landed(self, start: int) -> list[tuple[str, int]]:
        """What landed in this hour and was asked about: the prediction, and the place among the landings."""
        first, last = np.searchsorted(self._lands, [start, start + _HOUR_MICROS], side="right")
        return [
            (prediction, place)
            for place in range(first, last)
            if (prediction := self._ids[self._landed_trips[place]]) is not None
        ]


class _Answered(msgspec.Struct, gc=False):
    """A prediction, as far as it is kept."""

    id: str
    value: bool
    probabilities: dict[str, float]


class _Answer(msgspec.Struct):
    """An answer to a request."""

    predictions: list[_Answered]


_ANSWER: Final = msgspec.json.Decoder(_Answer).decode


def _instants(column: pl.Series) -> list[str]:
    return column.dt.strftime("%Y-%m-%dT%H:%M:%SZ").to_list()


def _encoded(frame: pl.DataFrame) -> list[msgspec.Raw]:
    lines = io.BytesIO()
    frame.write_ndjson(lines)
    return list(map(msgspec.Raw, lines.getvalue().splitlines()))


def _between(known: NDArray[np.int64], rows: list[msgspec.Raw], start: int) -> list[msgspec.Raw]:
    """The rows that became known in the hour after a moment."""
    first, last = np.searchsorted(known, [start, start + _HOUR_MICROS], side="right")
    return rows[first:last]
