"""The ledger of the demo finds what is missing, changed or doubled, and measures both models on the same rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tidegate.demo.ledger import auc_by_month, reconcile, surest_delay
from tidegate.demo.replay import Kept
from tidegate.demo.report import Reconciled
from tidegate.predictions.codecs import shadow_schema

NOON = datetime(2013, 6, 26, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=2)
INSTANT = pl.Datetime("us", "UTC")
ASKED = '{"carrier":"UA","origin":"EWR","distance_miles":719,"scheduled_hour":12.1,"weekday":3,"tail_number":null}'
INPUTS = (
    '{"carrier":"UA","origin":"EWR","distance_miles":719,"scheduled_hour":12.1,"weekday":3,"tail_number":null,"wind":1}'
)
LOG = {
    "id": pl.String(),
    "at": INSTANT,
    "model": pl.String(),
    "number": pl.Int64(),
    "inputs": pl.String(),
    "value": pl.String(),
    "probabilities": pl.List(pl.Float64()),
    "shadows": pl.List(pl.Struct(shadow_schema())),
    "label": pl.String(),
    "observed_at": INSTANT,
}


def kept(*ids: str) -> Kept:
    """What was acknowledged: these predictions, and a label of the first."""
    predictions = pl.DataFrame(
        [{"id": id_, "at": NOON, "value": True, "probability": 0.75, "asked": ASKED} for id_ in ids],
        schema={
            "id": pl.String(),
            "at": INSTANT,
            "value": pl.Boolean(),
            "probability": pl.Float64(),
            "asked": pl.String(),
        },
    )
    labels = pl.DataFrame({"id": [ids[0]], "label": [True], "observed_at": [LATER]}).cast({"observed_at": INSTANT})
    return Kept(predictions, labels, requests=1, retried=0)


def row(id_: str, **changed: Any) -> dict[str, Any]:
    """A row of the log as it ought to be."""
    labelled = id_ == "a"
    as_told: dict[str, Any] = {
        "id": id_,
        "at": NOON,
        "model": "late-arrival",
        "number": 2,
        "inputs": INPUTS,
        "value": "true",
        "probabilities": [0.25, 0.75],
        "shadows": None,
        "label": "true" if labelled else None,
        "observed_at": LATER if labelled else None,
    }
    return as_told | changed


def found(*log: dict[str, Any], ids: tuple[str, ...] = ("a", "b")) -> Reconciled:
    """What the ledger says of a log."""
    return reconcile(pl.DataFrame(list(log), schema=LOG), kept(*ids))


def test_everything_that_was_told_is_there() -> None:
    whole = found(row("a"), row("b"))
    assert whole == Reconciled(acknowledged=2, lost=0, doubled=0, unacknowledged=0, labels_joined=1)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "other"},
        {"at": NOON + timedelta(microseconds=1)},
        {"inputs": INPUTS.replace("UA", "DL")},
        {"inputs": INPUTS.replace("12.1", "12.100000000000001")},
        {"value": "false"},
        {"probabilities": [0.26, 0.74]},
        {"probabilities": None},
    ],
)
def test_a_prediction_that_is_missing_or_changed_is_lost(changed: dict[str, Any]) -> None:
    assert found(row("a"), row("b", **changed)).lost == 1


@pytest.mark.parametrize("changed", [{"label": None, "observed_at": None}, {"label": "false"}, {"observed_at": NOON}])
def test_a_label_that_is_missing_or_changed_is_lost(changed: dict[str, Any]) -> None:
    told = found(row("a", **changed), row("b"))
    assert (told.lost, told.labels_joined) == (1, 0)


def test_what_is_there_twice_is_doubled() -> None:
    assert found(row("a"), row("b"), row("b")).doubled == 1
    assert found(row("a"), ids=("a", "a")).doubled == 1


def test_what_nobody_was_told_is_counted_apart() -> None:
    cut_off = found(row("a"), row("b"), row("cut-off"))
    assert (cut_off.unacknowledged, cut_off.lost, cut_off.doubled) == (1, 0, 0)


def test_both_models_are_measured_on_the_same_rows() -> None:
    """The first one by its own answers, and by its shadow's where another one answered."""
    shadow = {"deployment": "d", "model": "late-arrival", "number": 1, "variant": "shadow", "classes": "[]"}
    log = [
        row("a", number=1, probabilities=[0.1, 0.9]),
        row("b", number=1, probabilities=[0.9, 0.1], label="false"),
        row("c", label="false", probabilities=[0.9, 0.1], shadows=[shadow | {"probabilities": [0.05, 0.95]}]),
        row("d", label="true", shadows=None),  # the first model never saw it: it counts for neither
        row("e", at=NOON.replace(month=7), label="true", shadows=[shadow | {"probabilities": [0.4, 0.6]}]),
        row("f", at=NOON.replace(month=7), label="false", shadows=[shadow | {"probabilities": [0.3, 0.7]}]),
    ]
    figures = auc_by_month(pl.DataFrame(log, schema=LOG), "late-arrival/1")
    assert figures == {"static": {"2013-06": 0.5, "2013-07": 0.0}, "retrained": {"2013-06": 1.0, "2013-07": 0.5}}


def test_the_surest_delay_came_true() -> None:
    log = [
        row("a", probabilities=[0.3, 0.7]),
        row("b", label="true", probabilities=[0.2, 0.8]),
        row("c", label="false", probabilities=[0.1, 0.9]),
        row("d", label="true", value="false", probabilities=[0.05, 0.95]),
    ]
    assert surest_delay(pl.DataFrame(log, schema=LOG)) == "b"
