"""Models of XGBoost and LightGBM: their own answers to the bit, ONNX where it is equal, a reason where it is not."""

import sys
from typing import Any, NamedTuple

import lightgbm
import msgspec
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.contract.models.fitted_models import BOOSTED, COLUMNS, ROWS, by_carrier, fit, fitted, flights, late
from tidegate.data.records import Origin
from tidegate.kernel.errors import Refused, Unavailable
from tidegate.kernel.schema import Column
from tidegate.models.formats.choose import SavedModel, load_predictor, save_model, target_of
from tidegate.models.formats.protocol import Matrix, Outputs
from tidegate.models.logging import manifest_of
from tidegate.models.signature import Label, Signature, infer_signature

NATIVE = {
    "xgboost, linear": "a linear booster is served by XGBoost itself",
    "lightgbm, zeros": "a node sends 0 another way than its threshold does",
    "lightgbm, roots": "the root of the target was fitted (reg_sqrt)",
}
"""Recipes that the library itself serves, and why."""


def strange_rows(matrix: Matrix) -> Matrix:
    """Rows that nobody trained on, with nulls everywhere and every carrier."""
    rng = np.random.default_rng(7)
    rows = matrix[rng.integers(0, ROWS, 500)] * rng.uniform(0.5, 1.5, (500, 4)).astype(np.float32)
    rows[:, 3] = rng.integers(0, 12, 500)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return np.ascontiguousarray(rows)


def assert_own_answers(saved: SavedModel, model: Any, rows: Matrix) -> Outputs:
    """The kept model answers as the library does, bit for bit."""
    answers = load_predictor(saved.files, saved.format, saved.signature).predict(rows)
    assert answers.values == model.predict(rows).tolist()
    if hasattr(model, "predict_proba"):
        assert answers.probabilities is not None
        assert np.array_equal(answers.probabilities, model.predict_proba(rows))
    return answers


def assert_near(one: Outputs, other: Outputs) -> None:
    """Within a hundred-thousandth."""
    if one.probabilities is None or other.probabilities is None:
        np.testing.assert_allclose(np.asarray(one.values), np.asarray(other.values), rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", BOOSTED)
def test_a_model_answers_as_its_library_and_onnx_as_the_model(name: str) -> None:
    model, signature, matrix = fitted(name)
    saved = save_model(model, signature, matrix)
    assert saved.format == name.partition(",")[0]
    assert saved.signature == signature, "it takes nulls in every column"
    rows = strange_rows(matrix)
    own = assert_own_answers(saved, model, rows)
    if name in NATIVE:
        assert (saved.runtime, saved.facts["onnx"]) == (saved.format, f"not converted: {NATIVE[name]}")
    else:
        assert saved.runtime == "onnx", saved.facts["onnx"]
        assert_near(load_predictor(saved.files, "onnx", saved.signature).predict(rows), own)


@pytest.mark.parametrize("name", ["xgboost, categories", "lightgbm, categories"])
def test_the_same_model_is_kept_as_the_same_bytes(name: str) -> None:
    model, signature, matrix = fitted(name)
    first, second = (save_model(model, signature, matrix) for _ in range(2))
    assert first.files == second.files
    native = {file: content for file, content in first.files.items() if file != "model.onnx"}
    assert b"learning_rate" not in b"".join(native.values()), "how it was trained is a matter of its run"


PARAMETERS = st.fixed_dictionaries(
    {
        "max_depth": st.integers(1, 5),
        "learning_rate": st.sampled_from([0.05, 0.3, 1.0]),
        "subsample": st.sampled_from([0.5, 1.0]),
        "reg_lambda": st.sampled_from([0.0, 1.0]),
        "n_estimators": st.integers(1, 6),
    }
)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@settings(max_examples=25, deadline=None)
@given(
    parameters=PARAMETERS,
    task=st.sampled_from(["two", "three", "regression"]),
    categories=st.booleans(),
    nulls=st.floats(0.0, 0.4),
    seed=st.integers(0, 99),
)
def test_whatever_was_fitted_comes_back_bit_for_bit(
    library: str, parameters: dict[str, Any], task: str, categories: bool, nulls: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    every, delays = flights(nulls=True)
    matrix, delay = every[:150].copy(), delays[:150]
    matrix[rng.random(matrix.shape) < nulls] = np.nan
    target = {"two": delay > 2.0, "three": np.digitize(delay, [1.0, 3.0]), "regression": delay * 60}[task]
    kinds: dict[str, tuple[Any, Any]] = {
        "xgboost": (xgboost.XGBClassifier, xgboost.XGBRegressor),
        "lightgbm": (lightgbm.LGBMClassifier, lightgbm.LGBMRegressor),
    }
    own = by_carrier(library) if categories else {}
    quiet = {"verbosity": -1, "subsample_freq": 1} if library == "lightgbm" else {}
    model = kinds[library][task == "regression"](n_jobs=1, random_state=seed, **parameters, **own, **quiet)
    fit(model, matrix, target if task == "regression" else target.astype(int))
    signature = infer_signature(matrix, model, COLUMNS)
    saved = save_model(model, signature, matrix)
    rows = strange_rows(flights(nulls=True)[0])
    answers = assert_own_answers(saved, model, rows)
    if saved.runtime == "onnx":
        assert_near(load_predictor(saved.files, "onnx", saved.signature).predict(rows), answers)


def booster(library: str, objective: str, labels: Any, **parameters: Any) -> tuple[Any, Matrix]:
    """A booster that no estimator wraps."""
    matrix, _ = flights(nulls=True)
    if library == "xgboost":
        return xgboost.train({"objective": objective, **parameters}, xgboost.DMatrix(matrix, labels), 5), matrix
    settings = {"objective": objective, "verbosity": -1, "num_threads": 1, **parameters}
    return lightgbm.train(settings, lightgbm.Dataset(matrix, labels), 5), matrix


class Labelled(NamedTuple):
    """Rows with their labels."""

    X: Matrix
    y: Any
    columns: tuple[Column, ...] = COLUMNS
    digest: str = "0" * 64
    lineage: tuple[Origin, ...] = ()


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_bare_booster_numbers_its_classes(library: str) -> None:
    delay = flights(nulls=True)[1]
    two = booster(library, {"xgboost": "binary:logistic", "lightgbm": "binary"}[library], delay > 2.0)
    many = {"xgboost": "multi:softprob", "lightgbm": "multiclass"}[library]
    three = booster(library, many, np.digitize(delay, [1.0, 3.0]), num_class=3)
    number = booster(library, {"xgboost": "reg:squarederror", "lightgbm": "regression"}[library], delay)
    cases: list[tuple[Any, Any, str, tuple[Label, ...]]] = [
        (two, None, "classification", (0, 1)),
        (two, delay > 2.0, "classification", (False, True)),
        (two, (delay > 2.0).astype(float), "classification", (0.0, 1.0)),
        (three, np.digitize(delay, [1.0, 3.0]), "classification", (0, 1, 2)),
        (number, late(delay), "regression", ()),
    ]
    for (model, matrix), labels, task, classes in cases:
        manifest = manifest_of(
            "delays",
            model,
            inputs=Labelled(matrix, labels),
            run_id=None,
            policies=("null", "null"),
            put=lambda content: "digest",
        )
        assert manifest.signature is not None
        assert (manifest.signature.task, manifest.signature.classes, manifest.runtime) == (task, classes, "onnx")
        assert [type(one) for one in manifest.signature.classes] == [type(one) for one in classes]
    with pytest.raises(Refused, match="a booster numbers its classes 0 to 1, and the labels of its rows are others"):
        target_of(two[0], late(delay))
    model, matrix = three
    saved = save_model(model, infer_signature(matrix, target_of(model, None), COLUMNS), matrix)
    rows = strange_rows(matrix)
    expected = model.predict(xgboost.DMatrix(rows) if library == "xgboost" else rows)
    answers = load_predictor(saved.files, library, saved.signature).predict(rows)
    assert np.array_equal(np.asarray(answers.probabilities), expected)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_model_that_stopped_early_is_kept_as_it_answers(library: str) -> None:
    matrix, delay = flights(nulls=True)
    labels = (delay > 2.0).astype(int)
    if library == "xgboost":
        model: Any = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=3, n_jobs=1)
        model.fit(matrix[:600], labels[:600], eval_set=[(matrix[600:], labels[600:])], verbose=False)
        assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    else:
        model = lightgbm.LGBMClassifier(n_estimators=200, n_jobs=1, verbosity=-1)
        stop = lightgbm.early_stopping(3, verbose=False)
        model.fit(matrix[:600], labels[:600], eval_X=matrix[600:], eval_y=labels[600:], callbacks=[stop])
        assert model.best_iteration_ < 200
    saved = save_model(model, infer_signature(matrix, model, COLUMNS), matrix)
    assert saved.runtime == "onnx"
    assert_own_answers(saved, model, strange_rows(matrix))


def refused(model: Any, match: str, labels: object = None) -> None:
    matrix, _ = flights(nulls=True)
    with pytest.raises(Refused, match=match):
        save_model(model, infer_signature(matrix, target_of(model, labels), COLUMNS), matrix)


def test_what_would_be_served_wrongly_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    matrix, delay = flights(nulls=True)
    is_late, three = (delay > 2.0).astype(int), np.digitize(delay, [1.0, 3.0])
    frame = pandas.DataFrame(matrix[:, :3], columns=["distance", "wind", "low_visibility"])
    frame["carrier"] = pandas.Categorical.from_codes(matrix[:, 3].astype(int), ["z", *"bcdefghijk"])
    quick: dict[str, Any] = {"n_estimators": 2, "n_jobs": 1}
    quiet: dict[str, Any] = {**quick, "verbosity": -1}
    boosted = xgboost.XGBClassifier(**quick, missing=0.0).fit(matrix, is_late)
    refused(boosted, r"fitted with missing=0\.0.*fit it with missing=nan")
    refused(xgboost.XGBClassifier(**quick, enable_categorical=True).fit(frame, is_late), "fitted on a frame with cat")
    refused(lightgbm.LGBMClassifier(**quiet).fit(frame, is_late), "fitted on a frame with categories")
    refused(xgboost.XGBRegressor(**quick).fit(matrix, np.column_stack([delay, delay])), "answers 2 values a row")
    refused(lightgbm.LGBMClassifier(**quiet, objective="multiclassova").fit(matrix, three), "'multiclassova.* not serv")
    refused(lightgbm.LGBMRegressor(**quiet, linear_tree=True).fit(matrix, delay), "fit it with linear_tree=False")
    refused(booster("xgboost", "binary:logitraw", is_late)[0], "objective 'binary:logitraw' is not served")
    refused(booster("xgboost", "multi:softmax", three, num_class=3)[0], "objective 'multi:softmax' is not served")
    refused(xgboost.XGBRegressor(), "XGBRegressor cannot be kept: need to call fit")
    refused(lightgbm.LGBMRegressor(), "LGBMRegressor cannot be kept: No booster found")
    inside = make_pipeline(StandardScaler(), xgboost.XGBClassifier(**quick)).fit(matrix, is_late)
    refused(inside, r"xgboost\.sklearn\.XGBClassifier.*log the boosted model by itself")


def test_categories_of_a_frame_that_are_those_of_the_signature_are_kept() -> None:
    pandas = pytest.importorskip("pandas")
    matrix, delay = flights(nulls=False)
    frame = pandas.DataFrame(matrix, columns=[column.name for column in COLUMNS])
    names = COLUMNS[3].categories
    frame["carrier"] = pandas.Categorical.from_codes(matrix[:, 3].astype(int), list(names))
    model = lightgbm.LGBMRegressor(n_estimators=5, n_jobs=1, verbosity=-1).fit(frame, delay)
    signature = Signature(columns=COLUMNS, task="regression")
    saved = save_model(model, signature, matrix)
    answers = load_predictor(saved.files, "lightgbm", saved.signature).predict(matrix)
    assert answers.values == np.asarray(model.predict(frame)).tolist()


def test_a_number_that_is_split_by_category_is_served_by_the_library() -> None:
    """Both libraries round such a number, and ONNX would not."""
    for name in ("xgboost, categories", "lightgbm, categories"):
        model, signature, matrix = fitted(name)
        numbers = tuple(msgspec.structs.replace(column, kind="number", categories=()) for column in COLUMNS)
        saved = save_model(model, msgspec.structs.replace(signature, columns=numbers), matrix)
        assert saved.runtime == saved.format
        assert saved.facts["onnx"] == "not converted: carrier is a number, but the model splits it by category"


@pytest.mark.parametrize("name", ["xgboost", "lightgbm, text"])
def test_a_missing_library_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, signature, matrix = fitted(name)
    saved = save_model(model, signature, matrix)
    monkeypatch.setitem(sys.modules, saved.format, None)
    with pytest.raises(Unavailable, match=rf"pip install 'tidegate\[{saved.format}\]'"):
        load_predictor(saved.files, saved.format, saved.signature)
    assert len(load_predictor(saved.files, "onnx", saved.signature).predict(matrix).values) == ROWS
