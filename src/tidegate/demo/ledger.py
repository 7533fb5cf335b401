"""Holds what the client was told against what the home kept."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tidegate.demo.report import Reconciled
from tidegate.demo.traffic import Answer, Trip

Row = Mapping[str, Any]
"""A prediction with its label, as `predictions.scan` gives it."""


def reconcile(
    log: Sequence[Row],
    trips: Sequence[Trip],
    answers: Mapping[int, Answer],
    labels: Mapping[str, tuple[bool, datetime]],
) -> Reconciled:
    """Look for every acknowledged prediction and label in the log, with its inputs, answer and outcome.

    ``answers`` are by the place of their trip, ``labels`` by their prediction.
    """
    kept = {row["id"]: row for row in log}
    copies = Counter(row["id"] for row in log)
    acknowledged = Counter(answer.id for answer in answers.values())
    lost = sum(not _same(kept.get(answer.id), answer, trips[place]) for place, answer in answers.items())
    lost += sum(not _labelled(kept.get(id_), *told) for id_, told in labels.items())
    return Reconciled(
        acknowledged=len(answers),
        lost=lost,
        doubled=sum(times > 1 or copies[id_] > 1 for id_, times in acknowledged.items()),
        unacknowledged=sum(times for id_, times in copies.items() if id_ not in acknowledged),
    )


def _same(row: Row | None, answer: Answer, trip: Trip) -> bool:
    if row is None:
        return False
    kept = json.loads(row["value"]), row["probabilities"][1], json.loads(row["inputs"]), row["at"]
    return bool(kept == (answer.value, answer.probability, trip.row, trip.at))


def _labelled(row: Row | None, late: bool, observed_at: datetime) -> bool:
    return row is not None and (row["label"], row["observed_at"]) == (json.dumps(late), observed_at)
