"""The demo's client: asks as flights depart, tells labels as they land, and tries again when cut off."""

import http.client
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from tidegate.kernel.errors import TidegateError, Unavailable, WireError, from_wire

_SENDERS = 3
_ROWS, _LABELS = 5, 40
_PATIENCE_SECONDS = 45.0
_PAUSE_SECONDS = 0.05


class Trip(NamedTuple):
    """A flight as the client sees it; ``late`` and ``landed_at`` are null when it never arrived."""

    at: datetime
    row: dict[str, Any]
    landed_at: datetime | None
    late: bool | None


class Answer(NamedTuple):
    """A prediction that was acknowledged."""

    id: str
    value: bool
    probability: float


class Exchange(NamedTuple):
    """When an acknowledged request was sent and answered, in seconds of `time.perf_counter`."""

    sent: float
    answered: float


class Traffic:
    """Sends every trip until it is acknowledged, a few a request, several requests at once, in the order of departure.

    Business time follows the trips. A request that brought no answer is sent again, and so gets new ids: whether the
    first one was logged, nobody told the client.
    """

    def __init__(self, port: int, endpoint: str, trips: Sequence[Trip]) -> None:
        self._port = port
        self._path = f"/api/v1/endpoints/{endpoint}/"
        self._trips = trips
        self._lock = threading.Lock()
        self._next = 0
        self._now = trips[0].at
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(self._send,), daemon=True) for _ in range(_SENDERS)]
        self._labeller = threading.Thread(target=self._guard, args=(self._label,), daemon=True)
        self.answers: dict[int, Answer] = {}
        """Acknowledged predictions by the place of their trip."""
        self.labels: dict[str, tuple[bool, datetime]] = {}
        """Acknowledged labels by prediction: what it turned out to be, and when."""
        self.exchanges: list[Exchange] = []
        """Of predictions."""
        self.retried_rows = 0
        """Trips that had to be asked for more than once."""
        self.retried_requests = 0
        """Requests that had to be sent more than once, for predictions or with labels."""

    def start(self) -> None:
        """Begin to send."""
        for thread in (*self._threads, self._labeller):
            thread.start()

    def wait_for(self, acknowledged: int) -> None:
        """Until so many predictions are acknowledged. Raises what went wrong."""
        while len(self.answers) < acknowledged:
            self._check()
            time.sleep(0.002)

    def finish(self) -> None:
        """Until everything is acknowledged, labels too. Raises what went wrong."""
        for thread in (*self._threads, self._labeller):
            thread.join()
        self._check()

    def stop(self) -> None:
        """Send nothing more."""
        self._stop.set()

    def wait_recovered(self, killed: float) -> float:
        """Until a request that was sent after a moment (of `time.perf_counter`) is answered; when that was."""
        while True:
            answered = [each.answered for each in self.exchanges.copy() if each.sent > killed]
            if answered:
                return min(answered)
            self._check()
            time.sleep(0.002)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (TidegateError, http.client.HTTPException, OSError, ValueError, LookupError) as error:
            self._failure = error
            self.stop()

    def _send(self) -> None:
        connection = Connection(self._port, self._stop)
        while not self._stop.is_set():
            with self._lock:
                first, trips = self._next, self._trips[self._next : self._next + _ROWS]
                self._next += len(trips)
                if not trips:
                    return
                self._now = max(self._now, trips[-1].at)
            body = msgspec.json.encode({"rows": [trip.row for trip in trips], "at": [trip.at for trip in trips]})
            reply, tries, sent = connection.post(self._path + "predict", body, trips[-1].at)
            self._note_answers(first, reply["predictions"], tries, Exchange(sent, time.perf_counter()))

    def _note_answers(self, first: int, predictions: list[dict[str, Any]], tries: int, exchange: Exchange) -> None:
        with self._lock:
            for place, each in enumerate(predictions, first):
                self.answers[place] = Answer(each["id"], each["value"], each["probabilities"]["true"])
            self.exchanges.append(exchange)
            self._note_tries(tries, len(predictions))

    def _note_tries(self, tries: int, rows: int) -> None:
        self.retried_requests += tries > 1
        self.retried_rows += rows if tries > 1 else 0

    def _label(self) -> None:
        """As flights land; when the last one has departed, business time goes on to the next landing."""
        connection = Connection(self._port, self._stop)
        landing = sorted(
            (trip.landed_at, place, trip.late)
            for place, trip in enumerate(self._trips)
            if trip.landed_at is not None and trip.late is not None
        )
        while landing and not self._stop.is_set():
            with self._lock:
                over = len(self.answers) == len(self._trips)
                now = max(self._now, landing[min(_LABELS, len(landing)) - 1][0]) if over else self._now
                due = [each for each in landing if each[0] <= now and each[1] in self.answers][:_LABELS]
                told = [(self.answers[place].id, late, at) for at, place, late in due]
            if not due:
                time.sleep(_PAUSE_SECONDS)
                continue
            body = {"labels": [{"prediction_id": id_, "value": late, "observed_at": at} for id_, late, at in told]}
            _, tries, _ = connection.post(self._path + "labels", msgspec.json.encode(body), now)
            done = set(due)
            landing = [each for each in landing if each not in done]
            with self._lock:
                self.labels |= {id_: (late, at) for id_, late, at in told}
                self._note_tries(tries, 0)


class Connection:
    """One connection, opened again whenever it breaks."""

    def __init__(self, port: int, stop: threading.Event) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._stop = stop

    def post(self, path: str, body: bytes, at: datetime) -> tuple[dict[str, Any], int, float]:
        """The reply, how often it was asked for, and when last. Raises what the server refuses for good."""
        headers = {"content-type": "application/json", "tidegate-time": at.isoformat()}
        give_up = time.monotonic() + _PATIENCE_SECONDS
        tries = 0
        while time.monotonic() < give_up and not self._stop.is_set():
            tries += 1
            sent = time.perf_counter()
            try:
                self._http.request("POST", path, body, headers)
                response = self._http.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                self._http.close()
            else:
                if response.status == 200:
                    reply: dict[str, Any] = msgspec.json.decode(content)
                    return reply, tries, sent
                if response.status != 503:
                    raise from_wire(msgspec.json.decode(content, type=WireError))
            time.sleep(_PAUSE_SECONDS)
        raise Unavailable(f"{path}: no answer in {_PATIENCE_SECONDS:.0f} s and {tries} tries")
