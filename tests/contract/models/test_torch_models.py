"""Models of PyTorch, where it is installed (`make test-torch`): kept as ONNX that answers like the module."""

import sys
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.contract.models.fitted_models import COLUMNS, flights, late, minutes, three
from tidegate.data.records import Origin
from tidegate.kernel.errors import Invalid, Refused
from tidegate.kernel.schema import Column
from tidegate.models.formats.choose import load_predictor, save_model, target_of
from tidegate.models.formats.protocol import Matrix, Outputs
from tidegate.models.formats.torch import FORMAT
from tidegate.models.logging import manifest_of
from tidegate.models.signature import Signature, infer_signature

torch: Any = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # of PyTorch's own exporter

SCALE = torch.tensor([1e-3, 0.1, 1.0, 0.1])


def module(*ends: Any, outputs: int = 3, nulls: bool = True, carriers: bool = True) -> Any:
    """A small network over scaled columns and a table of carriers, with these layers at its end."""

    class Delays(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(7)
            self.table = torch.nn.Embedding(13, 3)
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(7, 16),
                torch.nn.BatchNorm1d(16),
                torch.nn.ReLU(),
                torch.nn.Dropout(0.5),
                torch.nn.Linear(16, outputs),
                *ends,
            )

        def forward(self, rows: Any) -> Any:
            numbers = rows * SCALE
            codes = rows[:, 3]
            if nulls:
                codes = torch.where(torch.isnan(codes), 12.0, codes)
                numbers = torch.where(torch.isnan(numbers), 0.0, numbers)
            codes = codes.long() if carriers else torch.zeros_like(codes).long()
            return self.layers(torch.cat([numbers, self.table(codes)], dim=1))

    return Delays()


def fitted(model: Any, matrix: Matrix, loss: Any) -> Any:
    """A few steps of training, after which its norms and weights are of these rows."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        loss(model(torch.from_numpy(matrix))).backward()
        optimizer.step()
    return model


def answers_of(model: Any, matrix: Matrix) -> Any:
    """What the module answers when it does not train."""
    model.eval()
    with torch.inference_mode():
        return model(torch.from_numpy(matrix.copy())).numpy()


def kept(model: Any, matrix: Matrix, labels: Any) -> tuple[Any, Signature]:
    signature = infer_signature(matrix, target_of(model, labels), COLUMNS)
    return save_model(model, signature, matrix), signature


def strange(matrix: Matrix) -> Matrix:
    rng = np.random.default_rng(5)
    rows = matrix[rng.integers(0, len(matrix), 200)].copy()
    rows[rng.random(rows.shape) < 0.2] = np.nan
    return rows


def test_three_classes_by_softmax() -> None:
    matrix, delay = flights(nulls=True)
    labels = three(delay)
    wanted = torch.from_numpy(labels)
    model = fitted(
        module(torch.nn.Softmax(dim=1)), matrix, lambda out: torch.nn.functional.nll_loss(torch.log(out), wanted)
    )
    assert model.training
    saved, signature = kept(model, matrix, labels)
    assert model.training, "logging leaves the module as it was"
    assert (saved.format, saved.runtime, list(saved.files)) == ("torch", "onnx", ["model.onnx"])
    assert saved.facts["onnx"].startswith("equal on 1,000 training rows and ")
    assert {"torch", "onnxscript", "onnxruntime"} <= {one.split("==")[0] for one in saved.facts["dependencies"].split()}
    assert b"test_torch_models" not in saved.files["model.onnx"], "it names no place in the source"
    rows = strange(matrix)
    answers = load_predictor(saved.files, saved.runtime, saved.signature).predict(rows)
    expected = answers_of(model, rows)
    assert answers.probabilities is not None
    np.testing.assert_allclose(answers.probabilities, expected, rtol=0, atol=1e-5)
    assert answers.values == [signature.classes[place] for place in expected.argmax(axis=1)]
    assert save_model(model, signature, matrix).files == saved.files


@pytest.mark.parametrize("flat", [False, True], ids=["a column", "a vector"])
def test_two_classes_by_sigmoid(flat: bool) -> None:
    matrix, delay = flights(nulls=True)
    ends = (torch.nn.Sigmoid(), torch.nn.Flatten(0)) if flat else (torch.nn.Sigmoid(),)
    wanted = torch.from_numpy((delay <= 2.0).astype(np.float32))
    model = fitted(
        module(*ends, outputs=1),
        matrix,
        lambda out: torch.nn.functional.binary_cross_entropy(out.reshape(-1), wanted),
    )
    saved, _ = kept(model, matrix, late(delay))
    assert saved.signature.classes == ("late", "on time")
    rows = strange(matrix)
    answers = load_predictor(saved.files, "onnx", saved.signature).predict(rows)
    second = answers_of(model, rows).reshape(-1)
    assert answers.probabilities is not None
    np.testing.assert_allclose(answers.probabilities, np.column_stack([1 - second, second]), rtol=0, atol=1e-5)
    assert answers.values == [("late", "on time")[int(one > 0.5)] for one in answers.probabilities[:, 1]]


def test_a_regression_and_a_program_that_was_exported_already() -> None:
    matrix, delay = flights(nulls=True)
    wanted = torch.from_numpy(minutes(delay).astype(np.float32))
    model = fitted(module(outputs=1), matrix, lambda out: torch.nn.functional.mse_loss(out.reshape(-1), wanted))
    saved, signature = kept(model, matrix, minutes(delay))
    assert signature.task == "regression"
    rows = strange(matrix)
    expected = answers_of(model, rows).ravel()
    model.eval()
    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(model, (torch.zeros(2, 4),), dynamic_shapes=shapes)
    for each in (saved, save_model(program, signature, matrix)):
        answers = load_predictor(each.files, "onnx", each.signature).predict(rows)
        np.testing.assert_allclose(np.asarray(answers.values), expected, rtol=1e-5, atol=1e-5)
        one = load_predictor(each.files, "onnx", each.signature).predict(rows[:1])
        assert one.values == pytest.approx(answers.values[:1], rel=1e-5)


def test_a_module_that_answers_nan_to_null_is_served_without_nulls() -> None:
    matrix, delay = flights(nulls=False)
    wanted = torch.from_numpy(delay.astype(np.float32))
    model = fitted(
        module(outputs=1, nulls=False, carriers=False),
        matrix,
        lambda out: torch.nn.functional.mse_loss(out.reshape(-1), wanted),
    )
    saved, _ = kept(model, matrix, delay)
    assert not any(column.nullable for column in saved.signature.columns)
    assert (saved.signature.missing_feature, saved.signature.unknown_category) == ("refuse", "refuse")


class Labelled(NamedTuple):
    """Rows with their labels."""

    X: Matrix
    y: Any
    columns: tuple[Column, ...] = COLUMNS
    digest: str = "0" * 64
    lineage: tuple[Origin, ...] = ()


def test_what_cannot_be_served_is_refused() -> None:
    matrix, delay = flights(nulls=True)
    labels = three(delay)

    def refused(model: Any, match: str, error: type[Exception] = Refused, by: Any = labels) -> None:
        with pytest.raises(error, match=match):
            manifest_of(
                "delays",
                model,
                inputs=Labelled(matrix, by),
                run_id=None,
                policies=("null", "null"),
                put=lambda content: "digest",
            )

    refused(module(), "answers scores, not probabilities: let it end with a softmax")
    refused(module(torch.nn.Softmax(dim=1), outputs=2), r"answers shape \(2, 2\) to 2 rows")
    refused(module(outputs=2), r"answers shape \(2, 2\) to 2 rows", by=delay)
    refused(torch.nn.Linear(5, 3), "does not take these rows of a float32 matrix: .*mat1 and mat2", Invalid)
    refused(module(torch.nn.Softmax(dim=1)), "give inputs with y", Invalid, by=None)
    fixed = torch.export.export(module(torch.nn.Softmax(dim=1)).eval(), (torch.zeros(4, 4),))
    refused(fixed, "does not take these rows", Invalid)

    class Branching(torch.nn.Module):  # type: ignore[misc]
        def forward(self, rows: Any) -> Any:
            return rows[:, :1] if float(rows.nansum()) > 0 else rows[:, 1:2]

    refused(Branching(), "kept as ONNX, and Branching has none: not converted: ", by=delay)


def test_an_exported_program_is_never_read(tmp_path: Any) -> None:
    program = torch.export.export(torch.nn.Linear(4, 1), (torch.zeros(2, 4),))
    torch.export.save(program, tmp_path / "model.pt2")
    content = (tmp_path / "model.pt2").read_bytes()
    signature = Signature(columns=COLUMNS, task="regression")
    with pytest.raises(Invalid, match=r"has no model\.onnx; it has model\.pt2"):
        FORMAT.load({"model.pt2": content}, signature)
    with pytest.raises(Invalid, match="onnxruntime does not load this model"):
        FORMAT.load({"model.onnx": content}, signature)


def test_serving_needs_no_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, delay = flights(nulls=True)
    saved, _ = kept(module(outputs=1), matrix, delay)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.setitem(sys.modules, name, None)
    answers: Outputs = load_predictor(saved.files, saved.runtime, saved.signature).predict(matrix[:3])
    assert len(answers.values) == 3
