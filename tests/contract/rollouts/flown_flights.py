"""Generated flights that are predicted, and whose labels come, in a home whose time a test moves."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.contract.models.fitted_models import CARRIERS, COLUMNS, flights, late
from tests.contract.models.kept_models import KeptModel, Trained, keep
from tidegate.endpoints.records import OutcomeIn
from tidegate.models.records import ModelVersion, StagePolicy
from tidegate.rollouts.records import Rollout
from tidegate.testing.workspaces import Home

MATRIX, DELAY = flights(nulls=False)
TRUTH = late(DELAY)
KINDS = ("good", "alike", "worse", "useless")


@cache
def classifier(kind: str) -> Any:
    """A model: `alike` is a little different from `good`, `worse` 1.15 times worse, `useless` has learnt nothing."""
    regularisation, matrix, truth = 1.0, MATRIX.copy(), TRUTH
    if kind == "alike":
        regularisation = 0.3
    elif kind == "worse":  # it never saw when visibility was low, and has to make do with the rest
        matrix[:, 2] = np.random.default_rng(5).permutation(matrix[:, 2])
    elif kind == "useless":
        truth = np.random.default_rng(7).permutation(TRUTH)
    return make_pipeline(StandardScaler(), LogisticRegression(C=regularisation)).fit(matrix, truth)


@cache
def kept(kind: str) -> KeptModel:
    """The files of such a model."""
    return keep(classifier(kind), Trained(MATRIX, COLUMNS))


def brier(kind: str) -> float:
    """The mean Brier loss of a model on the flights."""
    shares = classifier(kind).predict_proba(MATRIX)[:, 1]
    return float(np.mean((shares - (TRUTH == "on time")) ** 2))


def row_of(flight: NDArray[np.float32]) -> dict[str, Any]:
    """A flight as `predict` takes it."""
    distance, wind, low, carrier = flight.tolist()
    return {"distance": distance, "wind": wind, "low_visibility": bool(low), "carrier": CARRIERS[int(carrier)]}


class FlownFlights:
    """A home, its endpoint `late`, and the flights in their order, over and over."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.workspace = home.workspace
        self.next = 0

    def now(self) -> datetime:
        """Business time."""
        return self.home.inside.storage.clock.now()

    def promoted(self, kind: str) -> ModelVersion:
        """A version in stage production."""
        workspace = self.workspace
        version = kept(kind).log("late", workspace.models, workspace.objects)
        if version.stage != "production":
            workspace.models.set_policy("late", "production", policy=StagePolicy())
            workspace.models.promote("late", version.number, to="production")
        return workspace.models.get("late", version.number)

    def fly(self, count: int, *, label: bool = True) -> list[str]:
        """Predict so many flights in one request, and tell what became of them; the ids."""
        places = [(self.next + index) % len(MATRIX) for index in range(count)]
        self.next += count
        answer = self.workspace.endpoints.predict("late", [row_of(MATRIX[place]) for place in places])
        ids = [one.id for one in answer.predictions]
        if label:
            now = self.now()
            told = [OutcomeIn(one, str(TRUTH[place]), now) for one, place in zip(ids, places, strict=True)]
            self.workspace.endpoints.labels("late", told)
        return ids

    def pass_time(self, **time: float) -> None:
        """Let business time pass, and the controllers do what is due."""
        self.workspace.loop.tick(until=self.now() + timedelta(**time))

    def until_decided(self, rollout_id: str, *, requests: int, rows: int = 200) -> Rollout:
        """Fly on, an hour a request, until the rollout is decided."""
        for _ in range(requests):
            self.fly(rows)
            self.pass_time(hours=1)
            rollout = self.workspace.rollouts.get(rollout_id)
            if rollout.state != "running":
                break
        return rollout
