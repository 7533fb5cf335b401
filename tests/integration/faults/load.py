"""Clients that predict and post labels while things break, and remember what was acknowledged to them."""

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from tests.integration.tidegate_process import PATIENCE, TidegateProcess
from tests.slices import ENDPOINT
from tidegate.workspace import open_workspace

PATH = f"/api/v1/endpoints/{ENDPOINT}/"
MOST_ASKED = 150
"""So many predictions, evenly spread, are asked for one by one; the log is compared as a whole."""
OBSERVED = datetime(2013, 7, 2, tzinfo=UTC)


class Load:
    """Predicts in several threads and labels in another, each request sent again until it is acknowledged.

    `predictions` and `labels` hold what a 2xx was received for. Any other answer than a 2xx or a 503 is a failure.
    """

    def __init__(self, port: int, threads: int = 3, pause: float = 0.02) -> None:
        self.port = port
        self.predictions: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        """Row and answer by id."""
        self.labels: dict[str, tuple[bool, datetime]] = {}
        self.refusals: Counter[str] = Counter()
        """Messages of 503 answers."""
        self.cut_off = 0
        """Requests without an answer."""
        self._pause = pause
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._guard, args=(n,), daemon=True) for n in range(threads + 1)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def more(self, count: int = 60) -> None:
        """Until so many more predictions, and some more labels, are acknowledged."""
        predictions, labels = len(self.predictions) + count, len(self.labels) + count // 6
        give_up = time.monotonic() + PATIENCE
        while len(self.predictions) < predictions or len(self.labels) < labels:
            self.check()
            assert time.monotonic() < give_up, f"the server did not recover: {self.refusals}, {self.cut_off} cut off"
            time.sleep(0.005)

    def check(self) -> None:
        """Raise what a client ran into."""
        if self._failures:
            raise self._failures[0]

    def _guard(self, number: int) -> None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            with contextlib.closing(connection):
                if number:
                    self._predict(connection, number)
                else:
                    self._label(connection)
        except BaseException as error:  # noqa: BLE001 - told to the test
            self._failures.append(error)

    def _predict(self, connection: http.client.HTTPConnection, number: int) -> None:
        for turn in range(1_000_000):
            rows = [
                {"distance": float(number * 1_000_000 + turn), "wind": float(place), "weekend": turn % 2 == 0}
                for place in range(turn % 3 + 1)
            ]
            reply = self._post(connection, "predict", {"rows": rows})
            if reply is None:
                return
            with self._lock:
                for row, answer in zip(rows, reply["predictions"], strict=True):
                    assert answer["id"] not in self.predictions, "two answers bear one id"
                    self.predictions[answer["id"]] = row, answer
            time.sleep(self._pause)

    def _label(self, connection: http.client.HTTPConnection) -> None:
        while not self._stop.is_set():
            with self._lock:
                due = [id_ for id_ in self.predictions if id_ not in self.labels][:20]
            if not due:
                time.sleep(0.01)
                continue
            told = {id_: (int(id_[-1], 16) % 2 == 0, OBSERVED + timedelta(seconds=int(id_[-3:], 16))) for id_ in due}
            body = [
                {"prediction_id": id_, "value": value, "observed_at": at.isoformat()}
                for id_, (value, at) in told.items()
            ]
            if self._post(connection, "labels", {"labels": body}) is None:
                return
            self.labels |= told

    def _post(self, connection: http.client.HTTPConnection, action: str, value: object) -> dict[str, Any] | None:
        body = json.dumps(value).encode()
        while not self._stop.is_set():
            try:
                connection.request("POST", PATH + action, body, {"content-type": "application/json"})
                reply = connection.getresponse()
                content = reply.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self.cut_off += 1
                time.sleep(0.02)
                continue
            answer: dict[str, Any] = json.loads(content)
            if reply.status == 200:
                return answer
            assert (reply.status, answer["code"]) == (503, "unavailable"), answer
            self.refusals[answer["message"]] += 1
            time.sleep(0.02)
        return None


def lost(load: Load, home: Path, server: TidegateProcess | None = None, catalog: str = "") -> list[str]:
    """Acknowledged predictions and labels that are missing, changed or doubled: in the log, and through the API."""
    load.check()
    found = list(_lost_in_log(load, home, catalog))
    return found if server is None else [*found, *_lost_in_api(load, server)]


def _lost_in_log(load: Load, home: Path, catalog: str) -> Iterator[str]:
    with open_workspace(home, catalog=catalog) as workspace:
        rows = workspace.predictions.scan(ENDPOINT).collect().to_dicts()
    copies = Counter(row["id"] for row in rows)
    kept = {row["id"]: row for row in rows}
    for id_, (asked, answer) in load.predictions.items():
        row = kept.get(id_)
        if row is None or copies[id_] != 1:
            yield f"log: prediction {id_} is there {copies[id_]} times"
            continue
        told = (
            json.loads(row["inputs"]),
            json.loads(row["value"]),
            dict(zip(("false", "true"), row["probabilities"], strict=True)),
        )
        if told != (asked, answer["value"], answer["probabilities"]):
            yield f"log: prediction {id_} was {asked} {answer} and is {told}"
        label = (json.loads(row["label"]), row["observed_at"]) if row["label"] is not None else None
        if id_ in load.labels and label != load.labels[id_]:
            yield f"log: label of {id_} was {load.labels[id_]} and is {label}"


def _lost_in_api(load: Load, server: TidegateProcess) -> Iterator[str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        for id_, (asked, answer) in list(load.predictions.items())[:: 1 + len(load.predictions) // MOST_ASKED]:
            connection.request("GET", f"/api/v1/predictions/{id_}")
            reply = connection.getresponse()
            told = json.loads(reply.read())
            if reply.status != 200 or (told["inputs"], told["value"]) != (asked, answer["value"]):
                yield f"api: prediction {id_} was {asked} {answer} and is {reply.status} {told}"
                continue
            labels = [(label["value"], datetime.fromisoformat(label["observed_at"])) for label in told["labels"]]
            if id_ in load.labels and labels != [load.labels[id_]]:
                yield f"api: label of {id_} was {load.labels[id_]} and is {labels}"
