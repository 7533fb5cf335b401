"""Labels of models that know their classes by number alone."""

import numpy as np
from numpy.typing import NDArray

from tidegate.kernel.errors import Refused
from tidegate.models.formats.protocol import Outputs
from tidegate.models.signature import Label


def labelled(answers: NDArray[np.floating], classes: tuple[Label, ...]) -> Outputs:
    """Labels and probabilities of probabilities of the second of two classes (n,), or of each (n, classes)."""
    if answers.ndim == 1:
        answers = np.column_stack([1 - answers, answers])
    return Outputs([classes[place] for place in answers.argmax(axis=1).tolist()], answers)


def numbered(count: int, labels: object, name: str) -> tuple[Label, ...]:
    """The classes of a model that numbers them from 0, of the type that the training labels (None: unknown) have.

    Raises `Refused` for labels that are no such numbers: nobody knows how they were coded.
    """
    plain = tuple(range(count))
    if labels is None:
        return plain
    values = np.unique(np.asarray(labels).ravel())
    if values.dtype.kind not in "biuf" or not np.isin(values, plain).all():
        raise Refused(
            f"a {name} numbers its classes 0 to {count - 1}, and the labels of its rows are others: "
            "log the classifier instead, or rows whose label is that number"
        )
    if values.dtype.kind == "b":
        return False, True
    return tuple(float(place) for place in plain) if values.dtype.kind == "f" else plain
