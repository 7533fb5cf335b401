"""A model of each format goes the whole way: logged, gated, approved, deployed, and asked over a real server."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.contract.models.fitted_models import boosted
from tests.slices import seeded_frame
from tidegate.http.thread import serving
from tidegate.testing.workspaces import Home

FEATURES = ["distance", "wind", "weekend"]


class Network:
    """A network of PyTorch, where it is installed, behind the methods that the test asks."""

    def fit(self, matrix: Any, labels: Any) -> Any:
        torch: Any = pytest.importorskip("torch")

        class Late(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(7)
                self.layers = torch.nn.Sequential(
                    torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1), torch.nn.Sigmoid()
                )

            def forward(self, rows: Any) -> Any:
                known = torch.where(torch.isnan(rows), 0.0, rows)
                return self.layers(known * torch.tensor([1e-3, 0.1, 1.0]))

        self.model = Late()
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.02)
        rows, wanted = torch.from_numpy(matrix.copy()), torch.from_numpy(labels.astype(np.float32))
        for _ in range(300):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy(self.model(rows)[:, 0], wanted).backward()
            optimizer.step()
        return self

    def predict_proba(self, matrix: Any) -> Any:
        import torch

        second = self.model(torch.from_numpy(matrix)).detach().numpy()
        return np.hstack([1 - second, second])

    def predict(self, matrix: Any) -> Any:
        return self.predict_proba(matrix)[:, 1] > 0.5


SERVED: dict[str, tuple[Any, str]] = {
    "sklearn": (lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), "onnx"),
    "torch": (Network, "onnx"),
    "xgboost": (boosted("xgboost.XGBClassifier", max_depth=2), "onnx"),
    "lightgbm": (boosted("lightgbm.LGBMClassifier", max_depth=2), "onnx"),
    "xgboost, by itself": (boosted("xgboost.XGBClassifier", booster="gblinear"), "xgboost"),
    "lightgbm, by itself": (boosted("lightgbm.LGBMClassifier", zero_as_missing=True, max_depth=2), "lightgbm"),
}
"""Each with the runtime that answers."""


@pytest.mark.parametrize("name", SERVED)
def test_a_model_goes_the_whole_way(name: str, tmp_path: Path) -> None:
    recipe, runtime = SERVED[name]
    home = Home(tmp_path / "home", "local")
    try:
        space = home.workspace
        space.data.commit("flights", seeded_frame())
        train, held_out = space.data.rows("flights/1", features=FEATURES, label="late").split(at=500)
        model = recipe().fit(train.X, train.y)
        version = space.models.log("late-arrival", getattr(model, "model", model), inputs=train)
        assert (version.manifest.format, version.runtime) == (name.partition(",")[0], runtime), version.manifest.facts
        report = space.gates.check(version, on=held_out)
        assert report.require().verdict == "pass"
        space.people.add("reviewer", role="approver")
        home.acting("reviewer").approvals.approve(version, reason="looked at the gate")
        space.models.promote("late-arrival", version.number, to="production")
        space.endpoints.deploy("late-arrival", version)
        rows: list[dict[str, Any]] = [
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
