"""The laws of `tidegate.models.formats.protocol.Format`, over every format and kind of model."""

import pickle
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from tests.contract.models.fitted_models import RECIPES, fitted
from tidegate.kernel.errors import Invalid, Refused
from tidegate.kernel.plugins import load_plugins
from tidegate.models.formats.choose import SavedModel, load_predictor, save_model
from tidegate.models.formats.lightgbm import FORMAT as LIGHTGBM
from tidegate.models.formats.onnx import FORMAT as ONNX
from tidegate.models.formats.protocol import Format, Outputs, Predictor
from tidegate.models.formats.sklearn import FORMAT as SKLEARN
from tidegate.models.formats.torch import FORMAT as TORCH
from tidegate.models.formats.xgboost import FORMAT as XGBOOST

FORMATS: list[Format] = [LIGHTGBM, ONNX, SKLEARN, TORCH, XGBOOST]
_SAVED: dict[str, SavedModel] = {}


def saved(name: str) -> SavedModel:
    if name not in _SAVED:
        model, signature, matrix = fitted(name)
        _SAVED[name] = save_model(model, signature, matrix)
    return _SAVED[name]


def runtimes(name: str) -> list[Predictor]:
    """The model behind every runtime that it was saved for."""
    one = saved(name)
    return [load_predictor(one.files, runtime, one.signature) for runtime in sorted({one.format, one.runtime})]


def close(one: Outputs, other: Outputs, tolerance: float) -> bool:
    if isinstance(one.values[0], float) and one.probabilities is None:
        return np.allclose(np.asarray(one.values), np.asarray(other.values), rtol=tolerance, atol=tolerance)
    if one.values != other.values or (one.probabilities is None) != (other.probabilities is None):
        return False
    if one.probabilities is None or other.probabilities is None:
        return True
    return np.allclose(one.probabilities, other.probabilities, rtol=0, atol=tolerance)


def test_the_formats_are_found_as_plug_ins() -> None:
    assert load_plugins("tidegate.formats") == {one.name: one for one in FORMATS}


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("linear, text", {"scikit-learn", "scipy", "skl2onnx", "skops"}),
        ("xgboost", {"onnx", "xgboost-cpu"}),
        ("lightgbm, text", {"onnx", "lightgbm"}),
    ],
)
def test_the_exact_versions_of_what_matters_are_kept(name: str, packages: set[str]) -> None:
    facts = saved(name).facts
    assert facts["python"] == platform.python_version()
    named = dict(one.split("==") for one in facts["dependencies"].split(" "))
    assert set(named) >= packages | {"numpy", "onnxruntime"}
    assert named == {package: version(package) for package in named}


@pytest.mark.parametrize("name", RECIPES)
def test_law_1_a_model_comes_back_as_it_was(name: str) -> None:
    model, signature, matrix = fitted(name)
    for predictor in runtimes(name):
        answers = predictor.predict(matrix)
        tolerance = 1e-5 if type(predictor).__name__ == "OnnxPredictor" else 1e-9
        probabilities = model.predict_proba(matrix) if hasattr(model, "predict_proba") else None
        assert close(Outputs(model.predict(matrix).tolist(), probabilities), answers, tolerance)
        assert (answers.probabilities is not None) == (probabilities is not None)
        assert signature.task == saved(name).signature.task


@pytest.mark.parametrize("name", RECIPES)
def test_law_2_values_are_labels_or_floats_and_probabilities_sum_to_1(name: str) -> None:
    _, signature, matrix = fitted(name)
    for predictor in runtimes(name):
        answers = predictor.predict(matrix[:50])
        assert len(answers.values) == 50
        if signature.task == "regression":
            assert {type(value) for value in answers.values} == {float}
            continue
        assert {type(value) for value in answers.values} == {type(signature.classes[0])}
        assert set(answers.values) <= set(signature.classes)
        if answers.probabilities is not None:
            assert answers.probabilities.shape == (50, len(signature.classes))
            np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["linear, text", "boosting, categories", "forest", "regression", "xgboost, three", "xgboost, drop-out",
     "xgboost, linear", "lightgbm, three", "lightgbm, roots"],
)  # fmt: skip
def test_law_3_an_answer_depends_on_its_own_row_only(name: str) -> None:
    matrix = fitted(name).matrix[:40]
    for predictor in runtimes(name):
        together = predictor.predict(matrix)
        with ThreadPoolExecutor(4) as threads:
            alone = list(threads.map(predictor.predict, [matrix[row : row + 1] for row in range(40)]))
        joined = Outputs([one.values[0] for one in alone])
        if together.probabilities is not None:
            parts = [one.probabilities for one in alone if one.probabilities is not None]
            joined = Outputs(joined.values, np.concatenate(parts))
        assert close(together, joined, 1e-6)


class Intruder:
    """What a pickle can do: call anything while it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
def test_law_4_a_pickle_is_never_loaded(one: Format, tmp_path: Path) -> None:
    pickled = pickle.dumps(Intruder(tmp_path / "loaded"))
    files = dict.fromkeys(("model.skops", "model.onnx", "model.lightgbm.txt", "model.xgboost.json"), pickled)
    with pytest.raises(Invalid):
        one.load(files, fitted("regression").signature)
    assert list(tmp_path.iterdir()) == []
    pickle.loads(pickled)
    assert [path.name for path in tmp_path.iterdir()] == ["loaded"], "the pickle would have done harm"


@pytest.mark.parametrize(
    ("runtime", "name"),
    [("onnx", "linear, text"), ("sklearn", "linear, text"), ("xgboost", "xgboost"), ("lightgbm", "lightgbm, text")],
)
def test_law_4_damaged_bytes_are_invalid(runtime: str, name: str) -> None:
    one = saved(name)
    for content in one.files.values():
        for damaged in (b"", content[: len(content) // 2], b"\0" * 100, content[100:]):
            with pytest.raises((Invalid, Refused)):
                load_predictor(dict.fromkeys(one.files, damaged), runtime, one.signature)


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
def test_law_5_files_of_another_format_are_invalid(one: Format) -> None:
    with pytest.raises(Invalid, match=r"has no model\.[a-z.]+; it has weights\.bin"):
        one.load({"weights.bin": b"1"}, fitted("regression").signature)


def test_law_6_importing_the_formats_imports_no_framework() -> None:
    code = (
        "import sys; from tidegate.models.formats import choose, lightgbm, onnx, sklearn, torch, xgboost\n"
        "assert not any(one.FORMAT.claims(object()) for one in (lightgbm, onnx, sklearn, torch, xgboost))\n"
        "heavy = {'lightgbm', 'torch', 'xgboost'}\n"
        "heavy |= {'sklearn', 'onnx', 'onnxruntime', 'skl2onnx', 'skops', 'polars', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
