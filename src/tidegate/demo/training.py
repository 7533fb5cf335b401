"""How the demo's model is made: by hand in the beginning, and by the steps of the pipeline from then on."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tidegate.demo import flights
from tidegate.demo.definitions import inputs
from tidegate.endpoints.records import Strategy
from tidegate.features.expressions import col
from tidegate.gates.records import GateReport, QualityPolicy
from tidegate.models.records import ModelVersion
from tidegate.workspace import Workspace

if TYPE_CHECKING:
    from tidegate.features.training import TrainingSet

MODEL = ENDPOINT = "late-arrival"
PIPELINE = "late-arrival-retraining"
STEPS = tuple(f"tidegate.demo.steps:{name}" for name in ("fresh_data", "train", "check", "approval", "release"))
PARAMS = {
    "max_iter": 30,
    "learning_rate": 0.15,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 60,
    "early_stopping": False,
    "random_state": 0,
}
HISTORY = timedelta(days=365)
"""How far back the pipeline learns: over all seasons, or a model of the summer is surprised by the winter."""
HELD_OUT = timedelta(days=14)
"""The newest flights are not learnt from: candidate and champion are compared on all of them that have landed."""
MARGIN = 0.01
"""By how much AUC a candidate may be worse than the champion on the held-out flights."""
MUST_BEAT = 0.05
CANARY = Strategy(kind="canary", steps=(5, 25, 50, 100), least_days=7)


class Upstream(NamedTuple):
    """The folder into which the source systems write their tables, as Parquet."""

    folder: Path

    def flights(self, now: datetime) -> Any:
        """What is known of the flights by a moment."""
        import polars as pl

        return flights.flown(pl.read_parquet(self.folder / "flights.parquet"), now)

    def landings(self, now: datetime) -> Any:
        """Who has landed by a moment."""
        import polars as pl

        return flights.landings(pl.read_parquet(self.folder / "flights.parquet"), now)

    def weather(self, now: datetime) -> Any:
        """What has been published of the weather by a moment."""
        import polars as pl

        return flights.observed(pl.read_parquet(self.folder / "weather.parquet"), now)


def learnable(ws: Workspace, now: datetime, since: datetime | None, *, leaky: bool = False) -> "TrainingSet":
    """The flights from a moment on, with their features as of departure, and with the labels that are known by now."""
    return ws.features.training_set(
        inputs(leaky=leaky),
        labels="flights",
        at=flights.DEPARTS,
        label=col(flights.DELAY) >= flights.LATE_MINUTES,
        label_known_at=flights.LANDS,
        since=since,
        until=now,
        known_by=now,
    )


def fit(ws: Workspace, train: Any, note: str = "") -> ModelVersion:
    """Train on these rows, and log the model with its run."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    with ws.runs.start(MODEL, params=PARAMS, inputs=["flights", "landings", "weather", "planes"]) as run:
        model = HistGradientBoostingClassifier(**PARAMS).fit(train.X, train.y)
        return ws.models.log(MODEL, model, run=run, inputs=train, note=note)


def judge(ws: Workspace, version: ModelVersion, held_out: Any) -> GateReport:
    """Run the gate: against the champion, or while there is none against chance."""
    return ws.gates.check(version, on=held_out, policy=QualityPolicy(metric="auc", margin=MARGIN, must_beat=MUST_BEAT))
