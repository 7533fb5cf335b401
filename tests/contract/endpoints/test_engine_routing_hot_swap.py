"""Deployments change under fire: every answer is of the model that its logged row names."""

import threading
from typing import Any

import numpy as np

from tests.contract.endpoints.serving_home import ROW, ServingHome
from tests.contract.models.fitted_models import fitted
from tidegate.endpoints.records import PredictionOut

RECIPES = ("linear, text", "boosting, text", "linear, no nulls")


def expected(recipe: str, rows: list[dict[str, Any]]) -> list[float]:
    """The probability of `late` that the fitted model itself gives."""
    matrix = np.array([[row["distance"], row["wind"], row["low_visibility"], 1] for row in rows], np.float32)
    return [float(share) for share in fitted(recipe).model.predict_proba(matrix)[:, 0]]


def test_laws_1_and_2_hot_swap_under_threads(serving_home: ServingHome) -> None:
    references = {serving_home.promoted(recipe, "late"): recipe for recipe in RECIPES}
    names = list(references)
    serving_home.endpoints.deploy("late", names[0])
    serving_home.engine.start()
    rows = [ROW | {"wind": float(wind)} for wind in (1, 10, 20, 40)]
    truth = {reference: expected(recipe, rows) for reference, recipe in references.items()}
    answers: list[list[PredictionOut]] = []
    errors: list[BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                answers.append(serving_home.engine.predict("late", rows))
        except BaseException as error:  # a thread's failure is the test's
            errors.append(error)
            raise

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        serving_home.endpoints.deploy("late", names[(turn + 1) % 3])
        [seen] = {one.model for one in serving_home.engine.predict("late", rows)}
        assert seen == names[(turn + 1) % 3], "a deployment of this process is seen by the next request"
        stop.wait(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert {one.model for answer in answers for one in answer} == set(names)
    kept = _logged(serving_home)
    for answer in answers:
        [model] = {one.model for one in answer}
        shares = [one.probabilities["late"] for one in answer if one.probabilities is not None]
        assert np.allclose(shares, truth[model], atol=1e-5)
        assert {kept[one.id] for one in answer} == {model}
    assert len(kept) == sum(map(len, answers)) + 12 * len(rows)


def _logged(home: ServingHome) -> dict[str, str]:
    """The model that each logged row names, by the row's id."""
    frame = home.reader.scan("late").collect()
    return {row["id"]: f"{row['model']}/{row['number']}" for row in frame.iter_rows(named=True)}
