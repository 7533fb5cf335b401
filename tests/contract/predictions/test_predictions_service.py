"""The operations of the prediction log, in every way to reach a home."""

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.contract.predictions.logged_home import START
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.predictions.records import LabelRow, PredictionRow, Source

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home

LATE = Source("late", "d" * 32, "late-arrival", 3, "stable", ("late", "on time"))


def log_two(home: "Home") -> list[str]:
    """Two predictions, the first with two labels."""
    log = home.inside.log
    inputs = msgspec.json.encode({"carrier": "UA", "distance": 719.5, "delayed": None, "hub": True})
    rows = [
        PredictionRow(log.ids.new(), to_micros(START), LATE, inputs, value, [0.25, float("nan")], 180)
        for value in ("late", None)
    ]
    log.append(rows)
    log.append_labels([LabelRow(rows[0].id, "late", value, at, at) for at, value in enumerate(["on time", "late"])])
    return [row.id for row in rows]


def test_get_tells_all_of_a_prediction(home: "Home") -> None:
    first, second = log_two(home)
    found = home.workspace.predictions.get(first)
    assert found.inputs == {"carrier": "UA", "distance": 719.5, "delayed": None, "hub": True}
    assert (found.value, found.model, found.variant, found.at) == ("late", "late-arrival/3", "stable", START)
    assert (found.classes, found.probabilities) == (["late", "on time"], [0.25, None])
    assert found.label is not None
    assert [label.value for label in found.labels] == ["on time", "late"]
    assert found.label == found.labels[-1]
    assert home.workspace.predictions.get(second).value is None
    with pytest.raises(NotFound):
        home.workspace.predictions.get(home.inside.log.ids.new())
    with pytest.raises(Invalid):
        home.workspace.predictions.get("late")


def test_count_by_endpoint(home: "Home") -> None:
    assert home.workspace.predictions.count() == []
    log_two(home)
    assert [(one.endpoint, one.predictions, one.labels) for one in home.workspace.predictions.count()] == [
        ("late", 2, 2)
    ]


def test_scan_is_for_those_who_have_the_journal(home: "Home") -> None:
    ids = log_two(home)
    if home.way == "local":
        frame = home.workspace.predictions.scan("late", since=START).collect()
        assert sorted(frame["id"]) == ids
        assert frame["label"].drop_nulls().to_list() == ['"late"']
    else:
        with pytest.raises(Invalid, match="open the home"):
            home.workspace.predictions.scan("late")
