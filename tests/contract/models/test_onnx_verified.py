"""ONNX is believed only where it answers like the model: accepted, refused with a reason, never an exception."""

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from tests.contract.models.fitted_models import COLUMNS, ROWS, fitted, flights, late
from tidegate.kernel.errors import Invalid, Refused
from tidegate.models.formats.choose import load_predictor, save_model
from tidegate.models.formats.conversion import to_onnx
from tidegate.models.formats.protocol import Matrix, Outputs
from tidegate.models.formats.sklearn import SklearnPredictor
from tidegate.models.signature import infer_signature


@pytest.mark.parametrize(
    "name",
    ["linear, text", "linear, booleans", "linear, floats", "linear, three classes", "columns apart", "boosting, text",
     "boosting, three", "forest", "regression", "regression, boosting", "no probabilities"],
)  # fmt: skip
def test_a_model_that_converts_well_is_served_by_onnx(name: str) -> None:
    model, signature, matrix = fitted(name)
    saved = save_model(model, signature, matrix)
    assert (saved.runtime, saved.format, sorted(saved.files)) == ("onnx", "sklearn", ["model.onnx", "model.skops"])
    assert saved.facts["onnx"].startswith("equal on 1,000 training rows and ")
    assert int(saved.facts["onnx_rows"]) > 1000
    assert float(saved.facts["onnx_worst"]) <= 1e-5
    assert saved.signature == signature
    rng = np.random.default_rng(7)
    rows = matrix[rng.integers(0, ROWS, 500)] * rng.uniform(0.5, 1.5, (500, 4)).astype(np.float32)
    rows[:, 3] = rng.integers(0, 12, 500)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    fast = load_predictor(saved.files, "onnx", saved.signature).predict(rows)
    native = load_predictor(saved.files, "sklearn", saved.signature).predict(rows)
    if signature.task == "regression":
        np.testing.assert_allclose(np.asarray(fast.values), np.asarray(native.values), rtol=1e-5, atol=1e-5)
    elif fast.probabilities is not None and native.probabilities is not None:
        np.testing.assert_allclose(fast.probabilities, native.probabilities, rtol=0, atol=1e-5)
    else:
        assert fast.values == native.values


def test_boosting_with_native_categories_is_served_by_itself() -> None:
    """skl2onnx converts native categories without a word, and wrong."""
    model, signature, matrix = fitted("boosting, categories")
    saved = save_model(model, signature, matrix)
    assert (saved.runtime, list(saved.files)) == ("sklearn", ["model.skops"])
    assert saved.facts["onnx"].startswith("not equal to the model: training row (")
    assert "is off by" in saved.facts["onnx"]
    assert float(saved.facts["onnx_worst"]) > 0.1
    answers = load_predictor(saved.files, saved.runtime, saved.signature).predict(matrix)
    assert answers.values == model.predict(matrix).tolist()


def test_the_rows_of_training_alone_would_not_have_shown_it() -> None:
    """A forest without nulls in training takes them in scikit-learn its own way, which skl2onnx leaves out."""
    matrix, delay = flights(nulls=False)
    model = RandomForestRegressor(10).fit(matrix, delay * 60)
    signature = infer_signature(matrix, model, COLUMNS)
    saved = save_model(model, signature, matrix)
    assert saved.runtime == "sklearn"
    assert " null (" in saved.facts["onnx"]
    assert "missing_feature='refuse' may get ONNX" in saved.facts["onnx"]
    columns = tuple(msgspec.structs.replace(column, nullable=False) for column in COLUMNS)
    strict = msgspec.structs.replace(signature, columns=columns, missing_feature="refuse", unknown_category="refuse")
    assert save_model(model, strict, matrix).runtime == "onnx"


def test_a_model_that_raises_on_null_is_served_without_nulls() -> None:
    model, signature, matrix = fitted("linear, no nulls")
    saved = save_model(model, signature, matrix)
    assert saved.runtime == "onnx"
    assert saved.facts["nulls"].startswith("the model does not take null in carrier, distance, low_visibility, wind: ")
    assert not any(column.nullable for column in saved.signature.columns)
    assert (saved.signature.missing_feature, saved.signature.unknown_category) == ("refuse", "refuse")
    null = matrix[:1].copy()
    null[0, 1] = np.nan
    with pytest.raises(Invalid, match=r"does not take these rows: .*NaN"):
        load_predictor(saved.files, "sklearn", saved.signature).predict(null)


class Stubborn(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator of one's own."""

    def fit(self, matrix: Any, labels: Any) -> "Stubborn":
        self.classes_ = np.unique(labels)
        return self

    def predict(self, matrix: Any) -> Any:
        return np.repeat(self.classes_[0], len(matrix))


def test_a_model_that_does_not_convert_has_its_reason_and_no_noise() -> None:
    matrix, delay = flights(nulls=False)
    model = Stubborn().fit(matrix, late(delay))
    signature = infer_signature(matrix, model, COLUMNS)
    noise = io.StringIO()
    with redirect_stdout(noise), redirect_stderr(noise):
        result = to_onnx(model, signature, matrix, SklearnPredictor(model, signature))
    assert result.content is None
    assert result.reason.startswith("not converted: ")
    assert "Stubborn" in result.reason
    assert noise.getvalue() == ""


def test_the_same_model_converts_to_the_same_bytes() -> None:
    model, signature, matrix = fitted("columns apart")
    native = SklearnPredictor(model, signature)
    first, second = (to_onnx(model, signature, matrix, native) for _ in range(2))
    assert first.content == second.content is not None


class Shifted:
    """A predictor whose answers are off by so much."""

    def __init__(self, inner: SklearnPredictor, by: float) -> None:
        self._inner = inner
        self._by = by

    def predict(self, matrix: Matrix) -> Outputs:
        answers = self._inner.predict(matrix)
        if answers.probabilities is None:  # numbers are held against their own size
            values = np.asarray(answers.values, dtype=np.float64)
            return Outputs((values + self._by * np.maximum(1.0, np.abs(values))).tolist())
        return Outputs(answers.values, answers.probabilities + self._by)


@pytest.mark.parametrize("name", ["linear, text", "regression"])
@pytest.mark.parametrize(("by", "accepted"), [(5e-6, True), (2e-5, False)])
def test_a_row_may_be_off_by_a_hundred_thousandth(name: str, by: float, accepted: bool) -> None:
    model, signature, matrix = fitted(name)
    result = to_onnx(model, signature, matrix, Shifted(SklearnPredictor(model, signature), by))
    assert (result.content is not None) is accepted, result.reason
    assert accepted or "(allowed 1e-05)" in result.reason


def test_few_rows_are_all_compared() -> None:
    model, signature, matrix = fitted("linear, text")
    result = to_onnx(model, signature, matrix[:10], SklearnPredictor(model, signature))
    assert result.reason.startswith("equal on 10 training rows and ")


def test_an_onnx_model_is_kept_as_it_is() -> None:
    model, signature, matrix = fitted("linear, text")
    content = save_model(model, signature, matrix).files["model.onnx"]
    saved = save_model(onnx.load_from_string(content), signature, matrix)
    assert (saved.format, saved.runtime, list(saved.files)) == ("onnx", "onnx", ["model.onnx"])
    assert load_predictor(saved.files, "onnx", signature).predict(matrix).values == model.predict(matrix).tolist()
    narrow = msgspec.structs.replace(signature, columns=COLUMNS[:3])
    with pytest.raises(Invalid, match="takes 4 columns and its signature has 3"):
        load_predictor(saved.files, "onnx", narrow)
    with pytest.raises(Refused, match="an ONNX regression must answer one tensor"):
        load_predictor(saved.files, "onnx", msgspec.structs.replace(signature, task="regression", classes=()))


def test_an_onnx_model_that_reads_other_files_is_refused() -> None:
    model, signature, matrix = fitted("linear, text")
    graph = onnx.load_from_string(save_model(model, signature, matrix).files["model.onnx"])
    tensor = graph.graph.initializer.add()
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, dtype=np.float32), "outside"))
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    with pytest.raises(Refused, match="keeps 'outside' in another file"):
        save_model(graph, signature, matrix)


def test_what_cannot_be_served_is_refused_before_anything_is_kept() -> None:
    matrix, delay = flights(nulls=False)
    signature = fitted("linear, text").signature
    with pytest.raises(Refused, match="no format keeps a dict"):
        save_model({}, signature, matrix)
    on_text = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    on_text.fit(np.where(matrix < 6, "x", "y"), late(delay))
    with pytest.raises(Refused, match=r"fitted on text \(in OneHotEncoder\)"):
        save_model(on_text, signature, matrix)
    with pytest.raises(Refused, match=r"KDTree.*fit with algorithm='brute'"):
        save_model(KNeighborsClassifier(algorithm="kd_tree").fit(matrix, late(delay)), signature, matrix)
    with pytest.raises(Refused, match="Stubborn"):
        save_model(Stubborn().fit(matrix, late(delay)), signature, matrix)
    with pytest.raises(Invalid, match=r"examples must have the shape \(rows, 4\)"):
        save_model(fitted("linear, text").model, signature, matrix[:, :3])
    shouting = make_pipeline(FunctionTransformer(print), fitted("linear, text").model)
    with pytest.raises(Refused, match=r"builtins\.print"):
        save_model(shouting, signature, matrix)
