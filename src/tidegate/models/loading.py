"""A version of a model in memory."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from tidegate.data.matrix import encode_frame
from tidegate.kernel.errors import Refused
from tidegate.models.formats.choose import load_predictor
from tidegate.models.formats.onnx import FILE as ONNX_FILE
from tidegate.models.formats.protocol import Outputs, Predictor
from tidegate.models.pyfunc.child import Interpreter
from tidegate.models.pyfunc.predictor import PyfuncPredictor, Stream, write_files
from tidegate.models.records import ModelVersion
from tidegate.models.signature import Encoder, Signature


class LoadedModel:
    """A version ready to predict. May be called by several threads.

    ``apart``: whether another process answers, which takes its time.
    """

    __slots__ = ("apart", "encoder", "predictor", "version")

    def __init__(self, version: ModelVersion, predictor: Predictor, *, apart: bool = False) -> None:
        self.apart = apart
        self.version = version
        self.predictor = predictor
        self.encoder = Encoder(version.signature)

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""
        return self.version.signature

    def predict(self, rows: object) -> Outputs:
        """Answer rows of named values, a Polars or pandas frame, the labelled rows of a training set, or a matrix.

        A matrix is C-contiguous float32 with the signature's columns in its order, and its categories are coded as the
        signature says: the `X` of a training set other than the model's own is not, so give the training set itself.

        Raises `Invalid` naming the row and the field, or the column.
        """
        if isinstance(rows, np.ndarray):
            return self.predictor.predict(rows)
        if isinstance(rows, Sequence):
            return self.predictor.predict(self.encoder.encode(rows).matrix)
        return self.predictor.predict(encode_frame(getattr(rows, "labelled", rows), self.signature.columns))


def load_model(version: ModelVersion, get: Callable[[str], bytes]) -> LoadedModel:
    """The version in memory; ``get`` reads an object. ONNX needs its own file alone.

    Raises `Refused` for a format that is kept only.
    """
    signature = version.signature
    wanted = {ONNX_FILE} if version.runtime == "onnx" else set(version.manifest.files) - {ONNX_FILE}
    files = {file: get(digest) for file, digest in version.manifest.files.items() if file in wanted}
    return LoadedModel(version, load_predictor(files, version.runtime, signature))


def load_apart(
    version: ModelVersion, stream: Stream, interpreter: Interpreter, trusted: Callable[[], object]
) -> LoadedModel:
    """A directory in a process of its own, started already.

    ``stream`` reads an object in pieces; ``trusted`` raises `Refused` once nobody lets it run any more. Raises
    `Refused` without an interpreter, and `Unavailable` where the model does not load in it.
    """
    require_interpreter(version, interpreter)
    predictor = PyfuncPredictor(
        version.reference,
        version.signature,
        interpreter,
        fill=functools.partial(write_files, version.manifest.files, stream),
        trusted=trusted,
    )
    predictor.start()
    return LoadedModel(version, predictor, apart=True)


def require_interpreter(version: ModelVersion, interpreter: Interpreter) -> None:
    """Raise `Refused` where no interpreter is named."""
    if not interpreter.python:
        raise Refused(
            f"{version.reference} runs in an interpreter of its own, and none is named: make an environment, install "
            "its requirements.txt there, and give models.load(…, python=PATH) or the setting pyfunc_python",
            version=version.reference,
        )
