"""From a fitted model and its training rows to the manifest of a version."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from tidegate.kernel.schema import Column
from tidegate.models.formats.choose import save_model, target_of
from tidegate.models.formats.protocol import Matrix
from tidegate.models.records import Cell, Inputs, Manifest
from tidegate.models.signature import Policy, Signature, infer_signature

EXAMPLE_ROWS: Final = 3


def manifest_of(
    name: str,
    model: object,
    *,
    inputs: Inputs,
    run_id: str | None,
    policies: tuple[Policy, Policy],
    put: Callable[[bytes], str],
) -> Manifest:
    """The manifest of a model whose files were put.

    ``policies`` are those for unknown categories and missing features. Raises `Refused` for a model that no format
    keeps safely, `Invalid` for inputs that are not the rows of a matrix.
    """
    matrix = inputs.X
    columns: Sequence[Column] | None = getattr(inputs, "columns", None)
    target = target_of(model, getattr(inputs, "y", None))
    signature = msgspec.structs.replace(
        infer_signature(matrix, target, columns), unknown_category=policies[0], missing_feature=policies[1]
    )
    saved = save_model(model, signature, matrix)
    return Manifest(
        name=name,
        signature=saved.signature,
        format=saved.format,
        runtime=saved.runtime,
        files={file: put(content) for file, content in sorted(saved.files.items())},
        facts=saved.facts,
        example=tuple(example_rows(matrix[:EXAMPLE_ROWS], saved.signature)),
        inputs=inputs.digest,
        origins=tuple(inputs.lineage),
        service=getattr(inputs, "service", None),
        run_id=run_id,
    )


def example_rows(matrix: Matrix, signature: Signature) -> Iterable[dict[str, Cell]]:
    """Rows of a matrix as `predict` takes them; a null is left as null."""
    for row in matrix:
        yield {column.name: _cell(code, column) for column, code in zip(signature.columns, row, strict=True)}


def _cell(code: Any, column: Column) -> Cell:
    if np.isnan(code):
        return None
    if column.kind == "boolean":
        return bool(code)
    if column.kind == "category":
        return column.categories[int(code)]
    return float(str(code))  # the shortest decimal that is this float32
