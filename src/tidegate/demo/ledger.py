"""Holds what the client was told against what the home kept."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tidegate.demo.report import Reconciled
from tidegate.demo.traffic import Answer, Traffic, Trip
from tidegate.workspace import Workspace


def reconcile(ws: Workspace, endpoint: str, traffic: Traffic, trips: Sequence[Trip]) -> Reconciled:
    """Look for every acknowledged prediction and label in the log, with its inputs, answer and outcome."""
    frame = ws.predictions.scan(endpoint).collect()
    kept = {row["id"]: row for row in frame.iter_rows(named=True)}
    copies = Counter(frame["id"])
    acknowledged = Counter(answer.id for answer in traffic.answers.values())
    lost = sum(not _same(kept.get(answer.id), answer, trips[place]) for place, answer in traffic.answers.items())
    lost += sum(not _labelled(kept.get(id_), *told) for id_, told in traffic.labels.items())
    return Reconciled(
        acknowledged=len(traffic.answers),
        lost=lost,
        doubled=sum(times > 1 or copies[id_] > 1 for id_, times in acknowledged.items()),
        unacknowledged=len(kept.keys() - acknowledged.keys()),
    )


def _same(row: dict[str, Any] | None, answer: Answer, trip: Trip) -> bool:
    if row is None:
        return False
    kept = json.loads(row["value"]), row["probabilities"][1], json.loads(row["inputs"]), row["at"]
    return bool(kept == (answer.value, answer.probability, trip.row, trip.at))


def _labelled(row: dict[str, Any] | None, late: bool, observed_at: datetime) -> bool:
    return row is not None and (row["label"], row["observed_at"]) == (json.dumps(late), observed_at)
