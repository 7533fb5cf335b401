"""What a run may be told."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidegate.kernel.errors import Invalid
from tidegate.runs.records import Metric, Value
from tidegate.runs.rules import (
    check_artifact_name,
    check_metrics,
    check_params,
    check_tags,
    spelt_params,
    told,
)

START = datetime(2013, 1, 1, tzinfo=UTC)


def metric(value: float, step: int = 0, seconds: int = 0, name: str = "loss") -> Metric:
    return Metric(name=name, value=value, step=step, at=START + timedelta(seconds=seconds))


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
        check_tags({"x": "y" * 8001})
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
