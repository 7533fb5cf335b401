"""What an MLmodel says, whoever wrote it: its lines, and what MLflow's columns amount to."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column
from tidegate.models import mlmodel
from tidegate.models.records import PYFUNC, Manifest
from tidegate.models.signature import Signature

WIND = '[{"type": "double", "name": "wind", "required": true}]'
DOUBLE = '[{"type": "double"}]'
ONE = Signature(columns=(Column("wind", "number", False),), task="regression", missing_feature="refuse")
NONE = Manifest(name="late", format="mlflow", runtime="", files={})


def written(inputs: str, outputs: str, more: str = "") -> bytes:
    """An MLmodel with these two lists."""
    quoted = [text.replace("'", "''") for text in (inputs, outputs)]
    return (
        "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_version: 3.11.2\n"
        f"{more}signature:\n  inputs: '{quoted[0]}'\n  outputs: '{quoted[1]}'\n  params: null\n"
    ).encode()


def described(files: Mapping[str, bytes], **given: Any) -> Manifest:
    return mlmodel.described(NONE, lambda name: files.get(name, b""), **given)


@given(st.data(), st.lists(st.text("ab '\"é,:#{", min_size=1, max_size=60), min_size=1, max_size=5, unique=True))
def test_a_signature_is_read_wherever_its_lines_are_broken(data: st.DataObject, names: list[str]) -> None:
    """As YAML has it: a line may end at a single space, and the next one begins with a few."""
    text = json.dumps([{"type": "double", "name": name, "required": False} for name in names])
    words = text.split(" ")
    pieces = [words[0]]
    for before, word in itertools.pairwise(words):
        breaks = before and word and data.draw(st.booleans())
        pieces.append(("\n    " if breaks else " ") + word)
    manifest = described({"MLmodel": written("".join(pieces), DOUBLE)})
    assert manifest.signature is not None
    assert [column.name for column in manifest.signature.columns] == names


def test_lines_may_end_as_they_do_on_windows() -> None:
    manifest = described({"MLmodel": written(WIND, DOUBLE).replace(b"\n", b"\r\n")})
    assert (manifest.signature, manifest.runtime, manifest.facts["python"]) == (ONE, PYFUNC, "3.11.2")


@pytest.mark.parametrize(
    ("inputs", "outputs", "told"),
    [
        ("{}", DOUBLE, "is not understood"),
        ('[{"type": 1}]', DOUBLE, "is not understood"),
        ("[" * 100_000, DOUBLE, "is not understood"),
        ('[{"type": "array", "name": "a", "items": ' + '{"a":' * 100_000 + "1", DOUBLE, "is not understood"),
        ("[]", DOUBLE, "at least one column"),
        ('[{"type": "long", "name": "a"}, {"type": "long", "name": "a"}]', DOUBLE, "appears twice"),
        ('[{"type": "datetime", "name": "when"}]', DOUBLE, "column 'when' is of type datetime"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 8, 8]}}]', DOUBLE, "of type tensor"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1, 2]}}]', DOUBLE, "of type tensor"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 999999999]}}]', DOUBLE, "type tensor"),
        (WIND, "", "does not say what it answers"),
        (WIND, '[{"type": "double"}, {"type": "double"}]', "answers several columns"),
        (WIND, '[{"type": "string"}]', "answers string, and not which classes"),
        (WIND, '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]', r"of shape \[-1, 3\]"),
    ],
)
def test_what_is_no_signature_of_ours_is_said_and_refuses_nothing(inputs: str, outputs: str, told: str) -> None:
    with pytest.raises(Invalid, match=told) as raised:
        mlmodel.signature_of(inputs, outputs)
    manifest = described({"MLmodel": written(inputs, outputs)})
    assert (manifest.signature, manifest.runtime) == (None, "")
    assert manifest.facts["signature"] == raised.value.message


def test_probabilities_and_labels_are_told_by_their_classes() -> None:
    shares = '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]'
    for outputs in (shares, '[{"type": "string"}]', ""):
        told = mlmodel.signature_of(WIND, outputs, ("late", "on time"))
        assert (told.task, told.classes) == ("classification", ("late", "on time"))


def test_of_older_clients_what_is_optional_is_nullable() -> None:
    signature = mlmodel.signature_of('[{"type": "integer", "optional": true}, {"type": "float"}]', DOUBLE)
    assert signature.columns == (Column("x0", "number", True), Column("x1", "number", False))


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('{"columns": ["wind"], "data": [[1], [2.5], [3], [4]]}', [1.0, 2.5, 3.0]),
        ('{"index": [0], "columns": ["wind"], "data": [[1]]}', [1.0]),
        ('[{"wind": 1}]', [1.0]),
        ('{"wind": 1}', [1.0]),
        ("[[1], [2]]", [1.0, 2.0]),
        ("[1.0]", []),
        ('{"inputs": [[1]]}', []),
        ('{"data": [[1]]}', []),
        ('{"columns": 3, "data": [[1]]}', []),
        ('[{"gust": 1}]', []),
        ('[{"wind": "high"}]', []),
        ('[{"wind": null}]', []),
        ('[{"wind": NaN}]', []),
        ('[{"wind": [1]}]', []),
        ('[{"wind": Infinity}]', []),
        ("[" * 100_000, []),
        ("[[1, 2]]", []),
        ("null", []),
        ("", []),
    ],
)
def test_an_example_is_kept_where_it_fits(content: str, rows: list[float]) -> None:
    info = "saved_input_example_info:\n  artifact_path: input_example.json\n  type: dataframe\n"
    manifest = described({"MLmodel": written(WIND, DOUBLE, info), "input_example.json": content.encode()})
    assert manifest.signature == ONE
    assert [row["wind"] for row in manifest.example] == rows


def test_only_what_reads_like_a_requirement_is_kept() -> None:
    asked = b"mlflow==3.17.2\n# a comment\npandas[parquet]>=2,<3\r\n-r other.txt\n--index-url https://x\nnumpy ; sys\n"
    facts = described({"MLmodel": written(WIND, DOUBLE), "requirements.txt": asked}).facts
    assert facts["dependencies"] == "mlflow==3.17.2 pandas[parquet]>=2,<3"
    assert facts["flavors"] == "python_function"


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_say_nothing(content: bytes) -> None:
    assert described({"MLmodel": content}).signature is None
