"""A model of each library goes the whole way: logged, gated, approved, deployed, and asked over a real server."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.models.fitted_models import boosted
from tests.slices import seeded_frame
from tidegate.http.thread import serving
from tidegate.testing.workspaces import Home

FEATURES = ["distance", "wind", "weekend"]

SERVED: dict[str, tuple[Any, str]] = {
    "xgboost": (boosted("xgboost.XGBClassifier", max_depth=2), "onnx"),
    "lightgbm": (boosted("lightgbm.LGBMClassifier", max_depth=2), "onnx"),
    "xgboost, by itself": (boosted("xgboost.XGBClassifier", booster="gblinear"), "xgboost"),
    "lightgbm, by itself": (boosted("lightgbm.LGBMClassifier", zero_as_missing=True, max_depth=2), "lightgbm"),
}
"""Each with the runtime that answers."""


@pytest.mark.parametrize("name", SERVED)
def test_a_boosted_model_goes_the_whole_way(name: str, tmp_path: Path) -> None:
    recipe, runtime = SERVED[name]
    home = Home(tmp_path / "home", "local")
    try:
        space = home.workspace
        space.data.commit("flights", seeded_frame())
        train, held_out = space.data.rows("flights/1", features=FEATURES, label="late").split(at=500)
        model = recipe().fit(train.X, train.y)
        version = space.models.log("late-arrival", model, inputs=train)
        assert (version.manifest.format, version.runtime) == (name.partition(",")[0], runtime), version.manifest.facts
        report = space.gates.check(version, on=held_out)
        assert report.require().verdict == "pass"
        space.people.add("reviewer", role="approver")
        home.acting("reviewer").approvals.approve(version, reason="looked at the gate")
        space.models.promote("late-arrival", version.number, to="production")
        space.endpoints.deploy("late-arrival", version)
        rows = [
            {"distance": 900.0, "wind": 21.5, "weekend": True},
            {"distance": 300.0, "wind": 2.0, "weekend": False},
            {"distance": 1200.0, "wind": None, "weekend": False},
        ]
        matrix = np.array([[900.0, 21.5, 1.0], [300.0, 2.0, 0.0], [1200.0, np.nan, 0.0]], dtype=np.float32)
        with serving(home.inside) as url:
            answers = asked(url, rows)
        assert [row["value"] for row in answers] == model.predict(matrix).tolist()
        np.testing.assert_allclose(
            [list(row["probabilities"].values()) for row in answers], model.predict_proba(matrix), rtol=0, atol=1e-5
        )
    finally:
        home.close()


def asked(url: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the server answers, one prediction a row."""
    request = urllib.request.Request(
        f"{url}/api/v1/endpoints/late-arrival/predict",
        json.dumps({"rows": rows}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return list(json.load(answer)["predictions"])
