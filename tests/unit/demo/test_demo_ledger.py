"""The ledger of the demo finds what is missing, changed or doubled."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.demo.ledger import reconcile
from tidegate.demo.report import Reconciled
from tidegate.demo.traffic import Answer, Trip

NOON = datetime(2013, 6, 26, 12, tzinfo=UTC)
TRIPS = [Trip(NOON, {"carrier": carrier}, NOON + timedelta(hours=2), True) for carrier in ("UA", "AA")]
ANSWERS = {place: Answer(f"id{place}", True, 0.75) for place in (0, 1)}
LABELS = {"id0": (True, NOON + timedelta(hours=2))}


def row(place: int, **changed: Any) -> dict[str, Any]:
    """A row of the log as it ought to be."""
    as_told: dict[str, Any] = {
        "id": f"id{place}",
        "at": NOON,
        "inputs": f'{{"carrier": "{TRIPS[place].row["carrier"]}"}}',
        "value": "true",
        "probabilities": [0.25, 0.75],
        "label": "true" if place == 0 else None,
        "observed_at": NOON + timedelta(hours=2) if place == 0 else None,
    }
    return as_told | changed


def found(*log: dict[str, Any]) -> Reconciled:
    """What the ledger says of a log."""
    return reconcile(log, TRIPS, ANSWERS, LABELS)


def test_everything_that_was_told_is_there() -> None:
    whole = found(row(0), row(1))
    assert whole == Reconciled(acknowledged=2, lost=0, doubled=0, unacknowledged=0)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "other"},
        {"at": NOON + timedelta(microseconds=1)},
        {"inputs": '{"carrier": "DL"}'},
        {"value": "false"},
        {"probabilities": [0.26, 0.74]},
    ],
)
def test_a_prediction_that_is_missing_or_changed_is_lost(changed: dict[str, Any]) -> None:
    assert found(row(0), row(1, **changed)).lost == 1


@pytest.mark.parametrize("changed", [{"label": None}, {"label": "false"}, {"observed_at": NOON}])
def test_a_label_that_is_missing_or_changed_is_lost(changed: dict[str, Any]) -> None:
    assert found(row(0, **changed), row(1)).lost == 1


def test_what_is_there_twice_is_doubled() -> None:
    assert found(row(0), row(1), row(1)).doubled == 1
    same = {0: ANSWERS[0], 1: ANSWERS[0]}
    assert reconcile([row(0)], [TRIPS[0], TRIPS[0]], same, LABELS).doubled == 1


def test_what_nobody_was_told_is_counted_apart() -> None:
    cut_off = found(row(0), row(1), row(1, id="cut-off"))
    assert (cut_off.unacknowledged, cut_off.lost, cut_off.doubled) == (1, 0, 0)
