"""The example of a version: training rows as people would type them."""

import numpy as np

from tidegate.kernel.schema import Column
from tidegate.models.logging import example_rows
from tidegate.models.signature import Encoder, Signature

SIGNATURE = Signature(
    columns=(
        Column("miles", "number", True),
        Column("holiday", "boolean", True),
        Column("carrier", "category", True, ("AA", "UA")),
    ),
    task="regression",
)


def test_codes_become_values_and_nulls_stay_null() -> None:
    matrix = np.array([[0.1, 1, 1], [1400, 0, 0], [np.nan, np.nan, np.nan]], dtype=np.float32)
    rows = list(example_rows(matrix, SIGNATURE))
    assert rows == [
        {"miles": 0.1, "holiday": True, "carrier": "UA"},
        {"miles": 1400.0, "holiday": False, "carrier": "AA"},
        {"miles": None, "holiday": None, "carrier": None},
    ]
    assert np.array_equal(Encoder(SIGNATURE).encode(rows).matrix, matrix, equal_nan=True)
