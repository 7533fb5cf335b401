"""What a format of models must do, for those built in and for plug-ins of the group ``tidegate.formats``."""

from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.models.signature import Label, Signature

Matrix = NDArray[np.float32]


class Outputs(msgspec.Struct, frozen=True):
    """The answers to a matrix of n rows.

    `values`: a class label or a float a row. `probabilities`: shape (n, classes) in the order of the signature's
    classes, or None where the model has none.
    """

    values: list[Label]
    probabilities: NDArray[np.floating] | None = None


class Predictor(Protocol):
    """A loaded model. May be called by several threads."""

    def predict(self, matrix: Matrix) -> Outputs:
        """Answer a C-contiguous float32 matrix of shape (n, columns) in signature order.

        Raises `Invalid` when the model does not take these rows.
        """


class Saved(msgspec.Struct, frozen=True):
    """A model as named files, and facts for its record: versions, checks, reasons.

    `requires`: the packages whose versions may change what these files answer.
    """

    files: dict[str, bytes]
    facts: dict[str, str]
    requires: tuple[str, ...] = ()


class OnnxResult(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion that was verified, or (`content` is None) the reason why it was refused.

    `rows` were compared; `worst` is the largest difference among them (probabilities absolute, other outputs relative
    to max(1, |value|)).
    """

    content: bytes | None
    reason: str
    rows: int = 0
    worst: float = 0.0


@runtime_checkable
class Format(Protocol):
    """One way to keep a model.

    Laws:

    1. A model that was saved and loaded answers as before: the same labels, numbers within 1e-9 relative.
    2. A value is a label of the signature's classes, of their very type, or a float; probabilities have the shape
       (n, classes) in the order of the classes, and each row sums to 1.
    3. An answer depends on its own row only: not on the rows beside it, nor on other threads that ask at the same time.
    4. Loading runs nothing that the files bring: a pickle, damaged bytes or a type that is not trusted raise `Invalid`
       or `Refused`, and nothing has happened.
    5. Files of another format raise `Invalid`, naming the file that is absent.
    6. Importing the format, and asking what it claims, imports no framework.
    """

    @property
    def name(self) -> str:
        """Its entry point in ``tidegate.formats``, and the runtime that answers its files."""

    @property
    def extra(self) -> str | None:
        """The extra of Tidegate that brings the framework; None where nothing is needed."""

    def claims(self, model: object) -> bool:
        """Whether this format keeps such a model. Imports nothing heavy."""

    def save(self, model: object, signature: Signature, examples: Matrix) -> Saved:
        """The model as files. Raises `Refused` for a model that would not come back safely and unchanged."""

    def load(self, files: dict[str, bytes], signature: Signature) -> Predictor:
        """The model of these files. Runs no code that the files bring."""


@runtime_checkable
class Convertible(Format, Protocol):
    """A format whose models may also be served by the ONNX runtime."""

    def to_onnx(self, model: object, signature: Signature, examples: Matrix, native: Predictor) -> OnnxResult:
        """The model as ONNX, verified against `native`. Never raises for a model that does not convert."""


@runtime_checkable
class Preparing(Format, Protocol):
    """A format whose `save` loads libraries of its own, which takes seconds."""

    def get_ready(self) -> None:
        """Load them, if the framework itself is loaded: somebody is about to train."""


@runtime_checkable
class Numbering(Format, Protocol):
    """A format some of whose models know their classes by number alone, such as a bare booster."""

    def classes(self, model: object, labels: object) -> tuple[Label, ...] | None:
        """The classes of such a model, of which `labels` (or None) were its training labels; none in a regression.

        None where the model itself says what it answers.
        """
