"""Why `protobuf<7`: skl2onnx 1.20 writes booleans into an integer field of ONNX, which protobuf 7 rejects.

Every histogram gradient boosting would fail to convert, and be served twenty times slower. protobuf 6 still warns only.
When the second test fails, skl2onnx is fixed: take the pin out of pyproject.toml.
"""

import re
import subprocess
import sys
from importlib.metadata import requires, version


def test_protobuf_is_pinned_below_7() -> None:
    pins = [pin for pin in requires("tidegate") or [] if re.match(r"protobuf\b", pin)]
    assert any("<7" in pin and "sklearn" in pin for pin in pins), pins
    assert int(version("protobuf").split(".")[0]) < 7


CONVERSION = """
import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier

inputs = np.linspace(-1, 1, 80, dtype=np.float32).reshape(40, 2)
model = HistGradientBoostingClassifier(max_iter=1).fit(inputs, inputs[:, 0] > 0)
convert_sklearn(model, initial_types=[("X", FloatTensorType([None, 2]))])
"""


def test_skl2onnx_still_writes_booleans_where_integers_belong() -> None:
    # in a process of its own: protobuf says it a limited number of times in each
    command = [sys.executable, "-W", "always", "-c", CONVERSION]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "Expected an int, got a boolean. This will be rejected in 7." in done.stderr
