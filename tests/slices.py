"""The whole slice on seeded rows, small and quick: from a committed frame to a deployed model."""

from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tidegate.data.rows import Rows
from tidegate.models.records import ModelVersion
from tidegate.testing.workspaces import Home

ENDPOINT = "late-arrival"
AT = datetime(2013, 7, 1, 12, tzinfo=UTC)
"""The business time at which the slice predicts."""


class Slice(NamedTuple):
    """What the slice made on its way."""

    version: ModelVersion
    run_id: str
    held_out: Rows


def seeded_frame(rows: int = 900, seed: int = 7) -> pl.DataFrame:
    """Rows whose label can be learnt: two numbers that matter, and a flag that does not."""
    noise = np.random.default_rng(seed)
    distance, wind = noise.uniform(100, 2500, rows), noise.gamma(2.0, 5.0, rows)
    chance = 1 / (1 + np.exp(-(0.25 * (wind - 10) - 0.001 * (distance - 1200))))
    return pl.DataFrame(
        {
            "distance": distance.round(0),
            "wind": wind.round(1),
            "weekend": noise.random(rows) < 2 / 7,
            "late": noise.random(rows) < chance,
        }
    )


def logged(home: Home) -> Slice:
    """A version that is logged, and has passed its gate."""
    space = home.workspace
    space.data.commit("flights", seeded_frame())
    rows = space.data.rows("flights/1", features=["distance", "wind", "weekend"], label="late")
    train, held_out = rows.split(at=500)
    with space.runs.start("late-arrival", params={"C": 1.0}, inputs=["flights/1"]) as run:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0)).fit(train.X, train.y)
        run.log_metrics({"accuracy": float(model.score(train.X, train.y))})
        version = space.models.log("late-arrival", model, run=run, inputs=train)
    space.gates.check(version, on=held_out).require()
    return Slice(version, run.id, held_out)


def deployed(home: Home) -> Slice:
    """The same, approved by a second person, promoted, and deployed."""
    made = logged(home)
    space = home.workspace
    space.people.add("reviewer", role="approver")
    home.acting("reviewer").approvals.approve(made.version, reason="looked at the gate")
    space.models.promote(made.version.name, made.version.number, to="production")
    space.endpoints.deploy(ENDPOINT, made.version)
    return made
