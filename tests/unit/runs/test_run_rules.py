"""What a run may be told, and which measurement is the latest."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import Invalid
from tidegate.runs.records import Metric, Value
from tidegate.runs.rules import (
    check_artifact_name,
    check_metrics,
    check_params,
    check_tags,
    latest,
    spelt_params,
    told,
)

START = datetime(2013, 1, 1, tzinfo=UTC)


def metric(value: float, step: int = 0, seconds: int = 0, name: str = "loss") -> Metric:
    return Metric(name=name, value=value, step=step, at=START + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (metric(0.1, step=2), metric(0.9, step=1, seconds=9)),
        (metric(0.1, seconds=2), metric(0.9, seconds=1)),
        (metric(0.9), metric(0.1)),
        (metric(-math.inf), metric(math.nan)),
        (metric(math.nan, step=1), metric(math.inf)),
    ],
)
def test_the_latest_is_of_the_greatest_step_then_time_then_value(winner: Metric, loser: Metric) -> None:
    assert latest([winner, loser])["loss"] is winner
    assert latest([loser, winner])["loss"] is winner


@given(
    st.permutations(
        [metric(value, step, at) for value in (0.0, math.nan, math.inf) for step in (0, 1) for at in (0, 1)]
    )
)
def test_law_2_the_latest_does_not_depend_on_the_order_of_arrival(arrived: list[Metric]) -> None:
    found = latest(arrived)["loss"]
    assert (found.step, found.value, found.at) == (1, math.inf, START + timedelta(seconds=1))


def test_each_name_has_its_own_latest() -> None:
    assert latest([metric(1), metric(2, name="auc")]).keys() == {"loss", "auc"}


def test_parameters_are_spelt() -> None:
    given = {"nan": math.nan, "inf": -math.inf, "depth": np.int64(3), "rate": np.float32(0.5), "on": np.bool_(True)}
    spelt = spelt_params(given | {"kinds": ("a", 1), "none": None, "text": "x"})
    assert spelt == {
        "nan": "nan", "inf": "-inf", "depth": 3, "rate": 0.5, "on": True, "kinds": "('a', 1)", "none": None,
        "text": "x",
    }  # fmt: skip
    assert {name: type(value) for name, value in spelt.items()}["on"] is bool


@pytest.mark.parametrize(
    "params", [{"": 1}, {"a\nb": 1}, {"x" * 251: 1}, {"x": math.inf}, {"x": 2**63}, {"x": "y" * 6001}]
)
def test_parameters_that_cannot_be_kept_are_refused(params: dict[str, Value]) -> None:
    with pytest.raises(Invalid, match="parameter"):
        check_params(params)


def test_tags_and_metrics_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(Invalid, match="tag 'x'"):
        check_tags({"x": "y" * 6001})
    with pytest.raises(Invalid, match="step"):
        check_metrics([metric(1, step=2**63)])


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\\b", "./x", "x/"])
def test_hostile_names_of_artifacts_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="artifact"):
        check_artifact_name(name)


def test_good_names_of_artifacts_pass() -> None:
    for name in ("model.onnx", "plots/roc.png", "größe.txt", "..x"):
        check_artifact_name(name)


def test_an_error_is_told_with_its_class_and_cut() -> None:
    assert told("ValueError", ValueError("no rows")) == "ValueError: no rows"
    assert told("KeyboardInterrupt", KeyboardInterrupt()) == "KeyboardInterrupt"
    assert len(told("ValueError", ValueError("x" * 9000))) == 4000
