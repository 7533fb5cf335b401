"""Models of XGBoost, kept in its own JSON and never as a pickle."""

import re
import sys
import threading
from typing import Any, Final, cast

import msgspec
import numpy as np

from tidegate.kernel.errors import Invalid, Refused, Unavailable
from tidegate.models.formats.classes import labelled, numbered
from tidegate.models.formats.conversion import NotConvertedError, verified
from tidegate.models.formats.protocol import Matrix, OnnxResult, Outputs, Predictor, Saved
from tidegate.models.formats.tree_graph import tree_graph
from tidegate.models.formats.xgboost_file import CLASSIFYING, Read, read
from tidegate.models.signature import Label, Signature

FILE: Final = "model.xgboost.json"


class XgboostPredictor:
    """A booster behind the interface of every runtime."""

    __slots__ = ("_booster", "_in_turn", "_matrix", "_signature")

    def __init__(self, file: Read, signature: Signature) -> None:
        library = _library()
        self._signature = signature
        self._matrix: Any = library.DMatrix if file.booster == "gblinear" else None
        # only trees without drop-out may be asked by several threads at once
        self._in_turn = None if file.booster == "gbtree" else threading.Lock()
        try:
            self._booster: Any = library.Booster(params={"nthread": 1, "verbosity": 0})
            self._booster.load_model(bytearray(file.content))
            self._booster.set_param({"nthread": 1, "verbosity": 0})
        except library.core.XGBoostError as error:
            raise Invalid(f"XGBoost does not load this model: {_first_line(error)}") from error

    def predict(self, matrix: Matrix) -> Outputs:
        """Answer a float32 matrix; XGBoost takes nulls everywhere."""
        if not len(matrix):
            return Outputs([])
        if self._in_turn is None:
            answers = self._ask(matrix)
        else:
            with self._in_turn:
                answers = self._ask(matrix)
        if self._signature.task == "regression":
            return Outputs(answers.ravel().tolist())
        return labelled(answers, self._signature.classes)

    def _ask(self, matrix: Matrix) -> Any:
        if self._matrix is not None:
            return self._booster.predict(self._matrix(matrix, nthread=1), validate_features=False)
        return self._booster.inplace_predict(matrix, validate_features=False)


class XgboostFormat:
    """Keeps boosters of XGBoost and its classifiers and regressors, fitted on one float32 matrix."""

    name: Final = "xgboost"
    extra: Final = "xgboost"

    def claims(self, model: object) -> bool:
        """Whether this is a booster of XGBoost, or one of its estimators."""
        library = sys.modules.get("xgboost")
        return library is not None and isinstance(model, library.Booster | library.XGBModel)

    def classes(self, model: object, labels: object) -> tuple[Label, ...] | None:
        """The classes of a bare booster, which knows them by number alone."""
        if isinstance(model, _library().XGBModel):
            return None
        learner = msgspec.json.decode(cast("Any", model).save_config())["learner"]
        if learner["objective"]["name"] not in CLASSIFYING:
            return ()
        return numbered(max(2, int(learner["learner_model_param"]["num_class"])), labels, "booster")

    def save(self, model: object, signature: Signature, examples: Matrix) -> Saved:
        """The booster as one JSON file; of one that stopped early, its best rounds alone."""
        library = _library()
        file = read(_content_of(model), signature)
        facts = {
            "estimator": type(model).__name__,
            "framework": f"XGBoost {library.__version__}",
            "objective": file.objective,
        }
        return Saved({FILE: file.content}, facts, ("onnx", "xgboost", "xgboost-cpu"))

    def load(self, files: dict[str, bytes], signature: Signature) -> Predictor:
        """The booster, checked, on one thread."""
        if FILE not in files:
            raise Invalid(f"this model has no {FILE}; it has {', '.join(sorted(files)) or 'no files'}")
        return XgboostPredictor(read(files[FILE], signature), signature)

    def to_onnx(self, model: object, signature: Signature, examples: Matrix, native: Predictor) -> OnnxResult:
        """The trees as an ONNX graph, verified against `native`."""

        def convert() -> bytes:
            ensemble = read(_content_of(model), signature).ensemble
            if ensemble is None:
                raise NotConvertedError("a linear booster is served by XGBoost itself")
            return tree_graph(ensemble, signature)

        return verified(convert, signature, examples, native, extra="xgboost")


FORMAT = XgboostFormat()


def _library() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise Unavailable("models of XGBoost need the extra: pip install 'tidegate[xgboost]'") from error
    return xgboost


def _content_of(model: Any) -> bytes:
    """The booster's JSON; of an estimator that stopped early, of the rounds that it answers by."""
    library = _library()
    booster = model
    try:
        if isinstance(model, library.XGBModel):
            booster = model.get_booster()
            if not np.isnan(model.missing):
                raise Refused(
                    f"{type(model).__name__} was fitted with missing={model.missing}, but serving hands it NaN: "
                    "fit it with missing=nan"
                )
            best = booster.attr("best_iteration")
            if best is not None and model.booster != "gblinear":
                booster = booster[: int(best) + 1]
        return bytes(booster.save_raw("json"))
    except (library.core.XGBoostError, ValueError, AttributeError) as error:
        raise Refused(f"{type(model).__name__} cannot be kept: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).split("\n")[0]
    return re.sub(r"^\[[^]]*\] \S+:\d+: ", "", first)[:300]
