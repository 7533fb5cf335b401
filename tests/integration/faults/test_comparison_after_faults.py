"""The comparison that every test of this folder ends with: it finds what is missing or changed."""

from pathlib import Path

from tests.integration.faults.load import OBSERVED, Load, lost
from tests.slices import ENDPOINT
from tidegate.endpoints.records import OutcomeIn
from tidegate.workspace import open_workspace


def test_the_comparison_sees_what_is_missing_or_changed(home: Path) -> None:
    row = {"distance": 1200.0, "wind": 20.0, "weekend": True}
    load = Load(0)
    with open_workspace(home) as workspace:
        answered = workspace.endpoints.predict(ENDPOINT, [row] * 2).predictions
        told = [OutcomeIn(prediction_id=each.id, value=True, observed_at=OBSERVED) for each in answered]
        workspace.endpoints.labels(ENDPOINT, told)
    for each in answered:
        load.predictions[each.id] = row, {"value": each.value, "probabilities": each.probabilities}
        load.labels[each.id] = True, OBSERVED
    assert not lost(load, home)
    first, second = (each.id for each in answered)
    load.predictions["0" * 32] = load.predictions[first]
    load.predictions[first] = row | {"wind": 21.0}, load.predictions[first][1]
    load.labels[second] = False, OBSERVED
    found = lost(load, home)
    assert [line.split(" ")[1] for line in found] == ["prediction", "label", "prediction"], found
    assert "is there 0 times" in found[-1]
