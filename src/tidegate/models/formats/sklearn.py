"""Models of scikit-learn, kept by skops with a list of trusted types that is fixed here, and never as a pickle."""

import sys
import warnings
from typing import Any, Final

import numpy as np

from tidegate.kernel.errors import Invalid, Refused, Unavailable
from tidegate.models.formats.canonical import canonical, check_archive
from tidegate.models.formats.conversion import to_onnx
from tidegate.models.formats.parts import prepare_for_serving, text_encoders
from tidegate.models.formats.protocol import Matrix, OnnxResult, Outputs, Predictor, Saved
from tidegate.models.formats.tree_bounds import check_trees
from tidegate.models.signature import Signature

FILE: Final = "model.skops"

TRUSTED: Final = frozenset(
    {
        # holds a function and its arguments, each of which is checked by itself
        "functools.partial",
        "numpy.dtype",
        "numpy.mean",
        "scipy.interpolate._bsplines.BSpline",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        # their indices are checked by tree_bounds
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.DotProduct",
        "sklearn.gaussian_process.kernels.Exponentiation",
        "sklearn.gaussian_process.kernels.ExpSineSquared",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RationalQuadratic",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.metrics._classification.accuracy_score",
        "sklearn.metrics._classification.balanced_accuracy_score",
        "sklearn.metrics._classification.f1_score",
        "sklearn.metrics._classification.log_loss",
        "sklearn.metrics._ranking.average_precision_score",
        "sklearn.metrics._ranking.roc_auc_score",
        "sklearn.metrics._regression.mean_absolute_error",
        "sklearn.metrics._regression.mean_squared_error",
        "sklearn.metrics._regression.r2_score",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.model_selection._split.GroupKFold",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.model_selection._split.TimeSeriesSplit",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        "sklearn.utils.validation.check_array",
    }
)
"""What a model file may hold beside the types that skops itself trusts. Nothing adds to it at run time."""

REMEDIES: Final = {
    "sklearn.neighbors._kd_tree.KDTree": "fit with algorithm='brute'",
    "sklearn.neighbors._ball_tree.BallTree": "fit with algorithm='brute'",
    "joblib.memory.Memory": "build the pipeline with memory=None",
}

KEPT_APART: Final = frozenset({"lightgbm", "xgboost"})
"""Libraries whose models behave as estimators, and are kept in the library's own format."""


class SklearnPredictor:
    """A fitted estimator behind the interface of every runtime."""

    __slots__ = ("_model", "_probable", "_signature")

    def __init__(self, model: object, signature: Signature) -> None:
        self._model: Any = model
        self._signature = signature
        classification = signature.task == "classification"
        self._probable = classification and hasattr(model, "predict_proba")
        if classification:
            known = tuple(np.asarray(getattr(model, "classes_", ())).tolist())
            if known != signature.classes:
                raise Invalid(f"the model's classes are {known} and its signature's {signature.classes}")

    def predict(self, matrix: Matrix) -> Outputs:
        """Answer a float32 matrix; what the estimator itself refuses, a null for instance, is `Invalid`."""
        if not len(matrix):
            return Outputs([])
        try:
            values = np.asarray(self._model.predict(matrix))
            # predict is asked too: a tuned threshold answers another class than the most probable
            probabilities = np.asarray(self._model.predict_proba(matrix)) if self._probable else None
        except ValueError as error:
            first = str(error).strip().split("\n")[0]
            raise Invalid(f"{type(self._model).__name__} does not take these rows: {first}") from error
        if values.ndim == 2 and values.shape[1] == 1:
            values = values.ravel()
        if values.shape != (len(matrix),):
            raise Refused(f"the model answers shape {values.shape} to {len(matrix)} rows; one value a row is served")
        return Outputs(values.tolist(), probabilities)


class SklearnFormat:
    """Keeps classifiers and regressors of scikit-learn, pipelines included, that take one float32 matrix."""

    name: Final = "sklearn"
    extra: Final = "sklearn"

    def claims(self, model: object) -> bool:
        """Whether this is an estimator of scikit-learn, and of no library that has a format of its own."""
        base = sys.modules.get("sklearn.base")
        own = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
        return base is not None and isinstance(model, base.BaseEstimator) and not own & KEPT_APART

    def save(self, model: object, signature: Signature, examples: Matrix) -> Saved:
        """The estimator as one skops file, after it came back and answered the examples as before."""
        import sklearn
        import skops

        _check_kind(model, signature)
        content = _dump(model)
        refused = sorted(set(_untrusted(content)) - TRUSTED)
        if refused:
            raise Refused(_untrusted_message(type(model).__name__, refused), types=refused)
        _compare(model, self.load({FILE: content}, signature), signature, examples[:100])
        facts = {
            "estimator": type(model).__name__,
            "framework": f"scikit-learn {sklearn.__version__}",
            "skops": skops.__version__,
        }
        return Saved({FILE: content}, facts, ("scikit-learn", "scipy", "skl2onnx", "skops"))

    def load(self, files: dict[str, bytes], signature: Signature) -> Predictor:
        """The estimator, of trusted types only, its trees checked, on one thread."""
        if FILE not in files:
            raise Invalid(f"this model has no {FILE}; it has {', '.join(sorted(files)) or 'no files'}")
        content = files[FILE]
        check_archive(content)
        found = _untrusted(content)
        refused = sorted(set(found) - TRUSTED)
        if refused:
            raise Refused(_untrusted_message("the file", refused), types=refused)
        model = _loads(content, found)
        if not self.claims(model) or not hasattr(model, "predict"):
            raise Invalid(f"this skops file holds a {type(model).__name__}, which predicts nothing")
        check_trees(model)
        prepare_for_serving(model)
        return SklearnPredictor(model, signature)

    def get_ready(self) -> None:
        """Load skops and the converter, if scikit-learn is loaded."""
        if "sklearn" in sys.modules:
            _skops_io()
            import skl2onnx  # noqa: F401

    def to_onnx(self, model: object, signature: Signature, examples: Matrix, native: Predictor) -> OnnxResult:
        """The estimator by skl2onnx, verified against `native`."""
        return to_onnx(model, signature, examples, native)


FORMAT = SklearnFormat()


def _skops_io() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise Unavailable("models of scikit-learn need the extra: pip install 'tidegate[sklearn]'") from error
    return skops.io


def _check_kind(model: object, signature: Signature) -> None:
    from sklearn.base import is_classifier, is_regressor

    name = type(model).__name__
    fits = is_classifier(model) if signature.task == "classification" else is_regressor(model)
    if not fits:
        raise Refused(
            f"{name} does not do {signature.task}, as its signature says; classifiers and regressors are kept"
        )
    encoders = text_encoders(model)
    if encoders:
        raise Refused(
            f"{name} was fitted on text (in {', '.join(encoders)}), but serving hands it one matrix of codes: "
            "fit it on the encoded matrix (encode_frame, or the X of a training set)"
        )


def _dump(model: object) -> bytes:
    try:
        content = canonical(_skops_io().dumps(model))
    except Exception as error:  # a foreign object may fail in any way while it is taken apart
        raise Refused(f"{type(model).__name__} cannot be kept: {error}") from error
    return content


def _untrusted(content: bytes) -> list[str]:
    try:
        return list(_skops_io().get_untrusted_types(data=content))
    except Unavailable:
        raise
    except Exception as error:  # a crafted file may fail in any way
        raise Invalid(f"this is no skops file, or a damaged one: {type(error).__name__}: {error}") from error


def _loads(content: bytes, trusted: list[str]) -> object:
    try:
        return _skops_io().loads(content, trusted=trusted)
    except Exception as error:  # a crafted file may fail in any way
        raise Invalid(f"this skops file is damaged: {type(error).__name__}: {error}") from error


def _untrusted_message(what: str, types: list[str]) -> str:
    remedies = [f"{REMEDIES[name]} instead of {name.rsplit('.', 1)[-1]}" for name in types if name in REMEDIES]
    if any(name.partition(".")[0] in KEPT_APART for name in types):
        remedies.append("log the boosted model by itself, which takes nulls and needs no scaling")
    remedy = "; ".join(remedies) or "use parts of scikit-learn only, or log the model as ONNX"
    return f"{what} holds types that are not trusted: {', '.join(types)}; {remedy}"


def _compare(model: object, loaded: Predictor, signature: Signature, examples: Matrix) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = SklearnPredictor(model, signature).predict(examples)
    after = loaded.predict(examples)
    same = before.values == after.values
    if signature.task == "regression":
        same = np.allclose(_floats(before), _floats(after), rtol=1e-9, equal_nan=True)
    if before.probabilities is not None and after.probabilities is not None:
        same = same and np.allclose(before.probabilities, after.probabilities, rtol=0, atol=1e-9, equal_nan=True)
    if not same:
        raise Refused(f"{type(model).__name__} answers otherwise after it was saved and loaded: log it as ONNX")


def _floats(outputs: Outputs) -> Any:
    return np.asarray(outputs.values, dtype=np.float64)
