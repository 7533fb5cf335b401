"""The rows that are compared, and the distance between two answers."""

import numpy as np
import pytest

from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column
from tidegate.models.formats.protocol import Matrix, Outputs
from tidegate.models.formats.verification import difference, probe, tightened
from tidegate.models.signature import Signature

COLUMNS = (
    Column("distance", "number", False),
    Column("wind", "number", True),
    Column("carrier", "category", False, ("AA", "B6", "UA")),
)
LENIENT = Signature(columns=COLUMNS, task="regression")
STRICT = Signature(columns=COLUMNS, task="regression", missing_feature="refuse", unknown_category="refuse")
TWO = Signature(columns=COLUMNS, task="classification", classes=("late", "on time"))
EXAMPLES = np.array([[row, 1.0, row % 2] for row in range(2500)], dtype=np.float32)
NAN, INF = float("nan"), float("inf")


class Sum:
    """Adds up its columns, and takes no null in those that it is told."""

    def __init__(self, refuses: tuple[int, ...] = ()) -> None:
        self.refuses = list(refuses)

    def predict(self, matrix: Matrix) -> Outputs:
        if np.isnan(matrix[:, self.refuses]).any():
            raise Invalid("no null here")
        return Outputs(np.nansum(matrix, axis=1).tolist())


def test_every_column_that_serving_may_null_is_probed_alone_and_together() -> None:
    names = [one.name for one in probe(Sum(), LENIENT, EXAMPLES).taken]
    unseen = "carrier = 'UA', which no training row holds"
    assert names == [
        "training row", "distance null", "wind null", "carrier null", unseen, "every nullable column null"
    ]  # fmt: skip
    assert [one.name for one in probe(Sum(), STRICT, EXAMPLES).taken] == ["training row", "wind null", unseen]


def test_rows_are_spread_evenly_and_always_the_same() -> None:
    first, second = (probe(Sum(), LENIENT, EXAMPLES).taken[0].matrix for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert (len(first), first[0, 0], first[-1, 0]) == (1000, 0.0, 2497.0)
    assert len(probe(Sum(), LENIENT, EXAMPLES[:7]).taken[0].matrix) == 7


def test_nulls_that_the_model_does_not_take_are_left_out() -> None:
    probes = probe(Sum(refuses=(0, 2)), LENIENT, EXAMPLES)
    assert [one.name for one in probes.refused] == ["distance null", "carrier null"]
    assert "every nullable column null" not in [one.name for one in probes.taken]
    assert len(probes.answers) == len(probes.taken)
    two = probe(Sum(refuses=(0,)), LENIENT, EXAMPLES)
    assert np.isnan(two.taken[-1].matrix).any(axis=0).tolist() == [False, True, True]


def test_serving_refuses_what_the_model_would() -> None:
    assert tightened(LENIENT, []) == LENIENT
    served = tightened(LENIENT, ["distance"])
    assert (served.missing_feature, served.unknown_category, served.columns) == ("refuse", "null", COLUMNS)
    served = tightened(LENIENT, ["wind", "carrier"])
    assert (served.missing_feature, served.unknown_category) == ("refuse", "refuse")
    assert not any(column.nullable for column in served.columns)


@pytest.mark.parametrize(
    ("expected", "actual", "distance"),
    [([0.5, 100.0], [0.5, 101.0], 0.01), ([0.0], [0.25], 0.25), ([NAN, INF], [NAN, INF], 0.0), ([NAN], [1.0], INF)],
)
def test_numbers_differ_relative_to_their_size(expected: list[float], actual: list[float], distance: float) -> None:
    assert difference(Outputs([*expected]), Outputs([*actual]), LENIENT).distance == pytest.approx(distance)


def test_probabilities_differ_absolutely_and_labels_infinitely() -> None:
    one = Outputs(["late", "late"], np.array([[0.75, 0.25], [1.0, 0.0]]))
    off = difference(one, Outputs(["late", "late"], np.array([[0.75, 0.25], [0.5, 0.5]])), TWO)
    assert (off.row, off.distance, off.what) == (1, 0.5, "probability of class 'late'")
    off = difference(one, Outputs(["late", "on time"], one.probabilities), TWO)
    assert (off.row, off.distance, off.what) == (1, INF, "label 'on time' for 'late'")
    assert difference(one, Outputs(["late", "late"]), TWO).distance == INF
    assert difference(one, Outputs(["late"]), TWO).distance == INF
    assert difference(one, one, TWO).distance == 0.0
