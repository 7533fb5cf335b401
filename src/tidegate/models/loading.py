"""A version of a model in memory."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tidegate.models.formats.choose import load_predictor
from tidegate.models.formats.onnx import FILE as ONNX_FILE
from tidegate.models.formats.protocol import Matrix, Outputs, Predictor
from tidegate.models.records import ModelVersion
from tidegate.models.signature import Encoder, Signature


class LoadedModel:
    """A version ready to predict. May be called by several threads."""

    __slots__ = ("encoder", "predictor", "version")

    def __init__(self, version: ModelVersion, predictor: Predictor) -> None:
        self.version = version
        self.predictor = predictor
        self.encoder = Encoder(version.signature)

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""
        return self.version.signature

    def predict(self, rows: Matrix | Sequence[Mapping[str, object]]) -> Outputs:
        """Answer rows of named values, or a C-contiguous float32 matrix in signature order.

        Raises `Invalid` naming the row and the field.
        """
        if isinstance(rows, np.ndarray):
            return self.predictor.predict(rows)
        return self.predictor.predict(self.encoder.encode(rows).matrix)


def load_model(version: ModelVersion, get: Callable[[str], bytes]) -> LoadedModel:
    """The version in memory; ``get`` reads an object. ONNX needs its own file alone.

    Raises `Refused` for a format that is kept only.
    """
    signature = version.signature
    wanted = {ONNX_FILE} if version.runtime == "onnx" else set(version.manifest.files) - {ONNX_FILE}
    files = {file: get(digest) for file, digest in version.manifest.files.items() if file in wanted}
    return LoadedModel(version, load_predictor(files, version.runtime, signature))
