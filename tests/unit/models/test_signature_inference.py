"""A signature is inferred from inputs and a target or a model, and travels unchanged."""

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column
from tidegate.models.signature import Signature, infer_signature

MATRIX = np.array([[1.0, np.nan], [2.0, 3.0]])


def test_the_columns_of_a_matrix_are_numbered_or_given() -> None:
    assert infer_signature(MATRIX, [0.5, 1.5]).columns == (Column("x0", "number", False), Column("x1", "number", True))
    given = (Column("distance", "number", False), Column("carrier", "category", True, ("UA",)))
    assert infer_signature(MATRIX, [0.5, 1.5], given).columns == given
    with pytest.raises(Invalid, match="1 columns were given for a matrix that has 2"):
        infer_signature(MATRIX, [0.5, 1.5], given[:1])


def test_the_columns_of_a_frame_are_inferred_or_given() -> None:
    frame = pl.DataFrame({"carrier": ["UA", None], "distance": [1, 2]})
    signature = infer_signature(frame, [0.5, 1.5])
    assert signature.columns == (Column("carrier", "category", True, ("UA",)), Column("distance", "number", False))
    assert infer_signature(frame, [0.5, 1.5], signature.columns[1:]).columns == signature.columns[1:]
    with pytest.raises(Invalid, match="no column 'origin'"):
        infer_signature(frame, [0.5, 1.5], [Column("origin", "number", False)])


@pytest.mark.parametrize(
    ("target", "task", "classes"),
    [
        ([0.5, 1.5], "regression", ()),
        (np.arange(100), "regression", ()),
        ([2, 1, 2], "classification", (1, 2)),
        ([True, False], "classification", (False, True)),
        (pl.Series(["on time", "late", "ärger"]), "classification", ("late", "on time", "ärger")),
        (np.array([["b"], ["a"]]), "classification", ("a", "b")),
    ],
)
def test_the_task_follows_the_target(target: object, task: str, classes: tuple[object, ...]) -> None:
    signature = infer_signature(MATRIX, target)
    assert (signature.task, signature.classes) == (task, classes)
    assert [type(label) for label in signature.classes] == [type(label) for label in classes]


def test_a_model_knows_its_classes() -> None:
    inputs = np.array([[0.0], [1.0]])
    assert infer_signature(inputs, LinearRegression().fit(inputs, [0, 1])).task == "regression"
    for classes in (("late", "on time"), (False, True), (0.0, 1.0), (3, 7)):
        model = LogisticRegression().fit(inputs, np.array(classes))
        inferred = infer_signature(inputs, model)
        assert inferred.classes == classes
        assert type(inferred.classes[0]) is type(classes[0])
        assert msgspec.json.decode(msgspec.json.encode(inferred), type=Signature) == inferred


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (["a", None], "none null"),
        (np.array(["a", 1], dtype=object), "mix text and numbers"),
        (np.zeros((2, 2)), "one target a row"),
        ([], "one target a row"),
    ],
)
def test_a_target_that_is_none_is_refused(target: Any, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        infer_signature(MATRIX, target)


def test_a_signature_that_contradicts_itself_is_refused() -> None:
    column = Column("a", "number", False)
    with pytest.raises(Invalid, match="needs its classes"):
        Signature(columns=(column,), task="classification")
    with pytest.raises(Invalid, match="has no classes"):
        Signature(columns=(column,), task="regression", classes=(1,))
    with pytest.raises(Invalid, match="at least one column"):
        Signature(columns=(), task="regression")
    with pytest.raises(Invalid, match="appears twice"):
        Signature(columns=(column, column), task="regression")
