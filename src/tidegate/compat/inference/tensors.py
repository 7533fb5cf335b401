"""Tensors to rows, and answers to tensors."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from tidegate.compat.inference.records import InferRequest, ModelMetadata, OutputAsked, TensorIn, TensorKind, TensorOut
from tidegate.endpoints.records import Endpoint, PredictionOut
from tidegate.endpoints.rules import MAX_ROWS, spelling
from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column
from tidegate.models.signature import Label, Signature

Row = dict[str, Any]

PREDICT: Final = "predict"
PROBABILITIES: Final = "probabilities"
PREDICTION_ID: Final = "prediction_id"
"""An output that is given only where it is asked for: the ids that labels refer to."""

_COLUMN_TYPES: Final = {"number": "FP32", "boolean": "BOOL", "category": "BYTES"}
_RANGES: Final = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
_FLOATS: Final = ("FP32", "FP64")


def rows_of(request: InferRequest, signature: Signature) -> list[Row]:
    """The rows in a request: one tensor a column, or one matrix of numbers in the order of the columns.

    Null stands for a value that is not there. Raises `Invalid` naming the input.
    """
    if not request.inputs:
        raise Invalid("inputs is empty: send one tensor a column, or one matrix", field="inputs")
    names = [tensor.name for tensor in request.inputs]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise Invalid(f"input {twice[:64]!r} is given twice", field="inputs")
    only = request.inputs[0]
    known = {column.name for column in signature.columns}
    if len(request.inputs) == 1 and only.name not in known and len(only.shape) == 2:
        return _matrix_rows(only, signature.columns)
    return _column_rows(request.inputs)


def outputs_of(
    answers: Sequence[PredictionOut], signature: Signature, asked: Sequence[OutputAsked] | None
) -> list[TensorOut]:
    """The answers as tensors: those asked for, in that order. Raises `Invalid` for one that there is not."""
    kinds = {kind.name: kind for kind in output_kinds(signature)}
    default = [name for name in kinds if name != PREDICTION_ID]
    if asked is None and (not answers or answers[0].probabilities is None):
        default = [PREDICT]
    names = default if asked is None else [output.name for output in asked]
    return [_output(_known(kinds, name), answers) for name in names]


def check_outputs(signature: Signature, asked: Sequence[OutputAsked] | None) -> None:
    """Raise `Invalid` for an output that there is not: before anything is predicted."""
    kinds = {kind.name: kind for kind in output_kinds(signature)}
    for output in asked or ():
        _known(kinds, output.name)


def output_kinds(signature: Signature) -> list[TensorKind]:
    """The outputs that there are."""
    kinds = [TensorKind(PREDICT, _value_type(signature.classes), [-1])]
    if signature.classes:
        classes = msgspec.json.encode(signature.classes).decode()
        kinds.append(TensorKind(PROBABILITIES, "FP64", [-1, len(signature.classes)], {"classes": classes}))
    kinds.append(TensorKind(PREDICTION_ID, "BYTES", [-1]))
    return kinds


def metadata_of(endpoint: Endpoint, signature: Signature, platform: str) -> ModelMetadata:
    """What the protocol's clients read of an endpoint."""
    inputs = [TensorKind(column.name, _COLUMN_TYPES[column.kind], [-1]) for column in signature.columns]
    versions = [str(endpoint.live.number)] if endpoint.live is not None else []
    return ModelMetadata(endpoint.name, versions, platform, inputs, output_kinds(signature))


def _known(kinds: dict[str, TensorKind], name: str) -> TensorKind:
    if name not in kinds:
        raise Invalid(f"there is no output {name[:64]!r}; the outputs are {', '.join(kinds)}", field="outputs")
    return kinds[name]


def _value_type(classes: Sequence[Label]) -> str:
    if not classes:
        return "FP64"
    kinds = {type(label) for label in classes}
    return {str: "BYTES", bool: "BOOL", int: "INT64"}.get(kinds.pop(), "FP64") if len(kinds) == 1 else "FP64"


def _output(kind: TensorKind, answers: Sequence[PredictionOut]) -> TensorOut:
    data: list[Any]
    if kind.name == PREDICT:
        data = [answer.value for answer in answers]
    elif kind.name == PREDICTION_ID:
        data = [answer.id for answer in answers]
    else:
        names = [spelling(label) for label in msgspec.json.decode(str(kind.parameters["classes"]))]
        absent: dict[str, float] = {}  # a variant may order its classes in another way, or lack one
        data = [(answer.probabilities or absent).get(name) for answer in answers for name in names]
    return TensorOut(kind.name, kind.datatype, [len(answers), *kind.shape[1:]], data)


def _matrix_rows(tensor: TensorIn, columns: Sequence[Column]) -> list[Row]:
    count, width = tensor.shape
    if width != len(columns):
        raise Invalid(
            f"input {tensor.name[:64]!r} has shape {tensor.shape}; the model takes [rows, {len(columns)}]: "
            f"{', '.join(column.name for column in columns[:8])}{', …' if len(columns) > 8 else ''}",
            field=tensor.name[:64],
        )
    if tensor.datatype == "BYTES":
        raise Invalid(f"input {tensor.name[:64]!r}: a matrix holds numbers; send text as one tensor a column")
    values = _values(tensor)
    readers = [(column.name, _reader(column)) for column in columns]
    return [
        {name: read(values[row * width + index]) for index, (name, read) in enumerate(readers)} for row in range(count)
    ]


def _reader(column: Column) -> Callable[[Any], Any]:
    """What turns a number of a matrix into the value that it codes."""
    if column.kind == "number":
        return lambda value: value
    if column.kind == "boolean":
        return lambda value: {0: False, 1: True}.get(value, value)
    return lambda value: _category(column, value)


def _category(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or value != math.floor(value) or not 0 <= value < len(column.categories):
        raise Invalid(
            f"{column.name}: in a matrix a category is its index, 0 to {len(column.categories) - 1}, got {value!r}; "
            "or send one tensor a column, with text",
            field=column.name,
        )
    return column.categories[int(value)]


def _column_rows(tensors: Sequence[TensorIn]) -> list[Row]:
    counts = set()
    columns = []
    for tensor in tensors:
        if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ([], [1]):
            raise Invalid(
                f"input {tensor.name[:64]!r} has shape {tensor.shape[:8]}; a column's tensor has the shape [rows] or "
                "[rows, 1], and a matrix comes alone, under a name that no column has",
                field=tensor.name[:64],
            )
        columns.append((tensor.name, _values(tensor)))
        counts.add(tensor.shape[0])
    if len(counts) > 1:
        raise Invalid(f"the inputs differ in their rows: {', '.join(map(str, sorted(counts)))}", field="inputs")
    return [{name: values[row] for name, values in columns} for row in range(counts.pop())]


def _values(tensor: TensorIn) -> list[Any]:
    """The tensor's data, flat and checked against its datatype and shape."""
    where = f"input {tensor.name[:64]!r}"
    field = tensor.name[:64]
    if "binary_data_size" in tensor.parameters or tensor.data is None:
        raise Invalid(f"{where}: binary tensors are not taken yet; send its data as JSON", field=field)
    if any(size < 0 for size in tensor.shape) or (tensor.shape and tensor.shape[0] > MAX_ROWS):
        raise Invalid(f"{where}: shape {tensor.shape[:8]} is outside 0 to {MAX_ROWS:,} rows", field=field)
    flat = _flat(tensor.data, len(tensor.shape), where)
    if len(flat) != math.prod(tensor.shape):
        raise Invalid(
            f"{where}: shape {tensor.shape[:8]} needs {math.prod(tensor.shape)} values, got {len(flat)}", field=field
        )
    fits = _fits(tensor.datatype, where)
    for index, value in enumerate(flat):
        if value is not None and not fits(value):
            raise Invalid(f"{where}: value {index} is no {tensor.datatype}", field=field)
    return flat


def _flat(data: list[Any], depth: int, where: str) -> list[Any]:
    for _ in range(depth - 1):
        nested = [isinstance(part, list) for part in data]
        if not any(nested):
            break
        if not all(nested):
            raise Invalid(f"{where}: data mixes values and lists")
        data = [value for part in data for value in part]
    return data


def _fits(datatype: str, where: str) -> Callable[[Any], bool]:
    if datatype in _FLOATS:
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    if datatype == "BOOL":
        return lambda value: isinstance(value, bool)
    if datatype == "BYTES":
        return lambda value: isinstance(value, str)
    if datatype in _RANGES:
        low, high = _RANGES[datatype]
        return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    raise Invalid(
        f"{where}: datatype {datatype[:16]!r} has no JSON form here; use FP32, FP64, an integer, BOOL or BYTES"
    )
