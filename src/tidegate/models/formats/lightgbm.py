"""Models of LightGBM, kept in its own text and never as a pickle."""

import sys
from typing import Any, Final, cast

import numpy as np

from tidegate.kernel.errors import Invalid, Refused, Unavailable
from tidegate.models.formats.classes import labelled, numbered
from tidegate.models.formats.conversion import NotConvertedError, verified
from tidegate.models.formats.lightgbm_file import CLASSIFYING, Read, read
from tidegate.models.formats.protocol import Matrix, OnnxResult, Outputs, Predictor, Saved
from tidegate.models.formats.tree_graph import tree_graph
from tidegate.models.signature import Label, Signature

FILE: Final = "model.lightgbm.txt"


class LightgbmPredictor:
    """A booster behind the interface of every runtime."""

    __slots__ = ("_booster", "_error", "_signature")

    def __init__(self, file: Read, signature: Signature) -> None:
        library = _library()
        self._signature = signature
        self._error: Any = library.basic.LightGBMError
        try:
            self._booster: Any = library.Booster(model_str=file.text)
        except self._error as error:
            raise Invalid(f"LightGBM does not load this model: {error}") from error

    def predict(self, matrix: Matrix) -> Outputs:
        """Answer a float32 matrix; LightGBM takes nulls everywhere."""
        if not len(matrix):
            return Outputs([])
        try:
            answers = np.asarray(self._booster.predict(matrix, num_threads=1))
        except self._error as error:
            raise Invalid(f"LightGBM does not take these rows: {error}") from error
        if self._signature.task == "regression":
            return Outputs(answers.ravel().tolist())
        return labelled(answers, self._signature.classes)


class LightgbmFormat:
    """Keeps boosters of LightGBM and its classifiers and regressors, fitted on one float32 matrix."""

    name: Final = "lightgbm"
    extra: Final = "lightgbm"

    def claims(self, model: object) -> bool:
        """Whether this is a booster of LightGBM, or one of its estimators."""
        library = sys.modules.get("lightgbm")
        return library is not None and isinstance(model, library.Booster | library.LGBMModel)

    def classes(self, model: object, labels: object) -> tuple[Label, ...] | None:
        """The classes of a bare booster, which knows them by number alone."""
        if isinstance(model, _library().LGBMModel):
            return None
        head = cast("Any", model).model_to_string(num_iteration=1).partition("\n\n")[0].split("\n")
        fields = dict(line.partition("=")[::2] for line in head)
        if fields.get("objective", "").partition(" ")[0] not in CLASSIFYING:
            return ()
        return numbered(max(2, int(fields["num_class"])), labels, "booster")

    def save(self, model: object, signature: Signature, examples: Matrix) -> Saved:
        """The booster as one text file; of one that stopped early, its best rounds alone."""
        file = _read_model(model, signature)
        facts = {
            "estimator": type(model).__name__,
            "framework": f"LightGBM {_library().__version__}",
            "objective": file.objective,
        }
        return Saved({FILE: file.text.encode()}, facts, ("lightgbm", "onnx"))

    def load(self, files: dict[str, bytes], signature: Signature) -> Predictor:
        """The booster, checked, on one thread."""
        if FILE not in files:
            raise Invalid(f"this model has no {FILE}; it has {', '.join(sorted(files)) or 'no files'}")
        return LightgbmPredictor(read(files[FILE], signature), signature)

    def to_onnx(self, model: object, signature: Signature, examples: Matrix, native: Predictor) -> OnnxResult:
        """The trees as an ONNX graph, verified against `native`."""

        def convert() -> bytes:
            file = _read_model(model, signature)
            if file.doubt:
                raise NotConvertedError(file.doubt)
            return tree_graph(file.ensemble, signature)

        return verified(convert, signature, examples, native, extra="lightgbm")


FORMAT = LightgbmFormat()


def _library() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise Unavailable("models of LightGBM need the extra: pip install 'tidegate[lightgbm]'") from error
    except OSError as error:  # its wheel leaves OpenMP to the system
        raise Unavailable(
            f"LightGBM needs a library of the system (on Debian: apt-get install libgomp1): {error}"
        ) from error
    return lightgbm


def _read_model(model: Any, signature: Signature) -> Read:
    library = _library()
    try:
        booster = model.booster_ if isinstance(model, library.LGBMModel) else model
        text = booster.model_to_string()
    except Exception as error:  # an estimator that was never fitted raises what scikit-learn would
        raise Refused(f"{type(model).__name__} cannot be kept: {str(error)[:300]}") from error
    _check_coding(booster, signature)
    return read(text.encode(), signature)


def _check_coding(booster: Any, signature: Signature) -> None:
    """A booster that was fitted on a frame with categories has coded them itself."""
    known = booster.pandas_categorical or []
    ours = [list(column.categories) for column in signature.columns if column.kind == "category"]
    if known and known != ours:
        raise Refused(
            "the LightGBM model was fitted on a frame with categories and codes them otherwise than its signature: "
            "fit it on the encoded matrix (encode_frame, or the X of a training set) with categorical_feature"
        )
