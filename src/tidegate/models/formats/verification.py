"""Which rows a second runtime must answer like the first, and how far apart two answers are."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column
from tidegate.models.formats.protocol import Matrix, Outputs, Predictor
from tidegate.models.signature import Signature

TOLERANCE: Final = 1e-5
MOST_ROWS: Final = 1000
ROWS_A_PROBE: Final = 8
UNSEEN_A_COLUMN: Final = 8


class Probe(msgspec.Struct, frozen=True):
    """Rows that share one treatment: training rows as they were, with a null, with a category that no row held."""

    name: str
    matrix: Matrix
    nulls: tuple[Column, ...] = ()


class Probes(msgspec.Struct, frozen=True):
    """The probes that the native model answers, its answers, and the probes that it does not take."""

    taken: tuple[Probe, ...]
    answers: tuple[Outputs, ...]
    refused: tuple[Probe, ...]


class Difference(msgspec.Struct, frozen=True):
    """The worst row of a comparison, how far it is off, and in which of its outputs."""

    row: int
    distance: float
    what: str


def probe(native: Predictor, signature: Signature, examples: Matrix) -> Probes:
    """Ask the native model everything that a second runtime will be asked.

    1,000 training rows spread evenly over `examples` (all, where there are fewer); then, for each column that serving
    may hand over as null, rows with a null there, and with declared categories that no training row holds; then rows
    with nulls in all such columns together, save those whose null the model does not take.
    """
    chosen = np.arange(min(len(examples), MOST_ROWS)) * len(examples) // min(len(examples), MOST_ROWS)
    base = np.ascontiguousarray(examples[chosen[:: max(1, len(chosen) // ROWS_A_PROBE)][:ROWS_A_PROBE]])
    plain = Probe("training row", np.ascontiguousarray(examples[chosen]))
    singles = [*_nulls(signature, base), *_unseen(signature, examples, base)]
    taken, answers, refused = _ask(native, [plain, *singles])
    refusing = {column.name for one in refused for column in one.nulls}
    columns = tuple(one.nulls[0] for one in taken if one.nulls and one.nulls[0].name not in refusing)
    if len(columns) > 1:
        together = Probe("every nullable column null", _with_nulls(signature, base, columns), columns)
        more, more_answers, no_more = _ask(native, [together])
        taken, answers, refused = [*taken, *more], [*answers, *more_answers], [*refused, *no_more]
    return Probes(tuple(taken), tuple(answers), tuple(refused))


def tightened(signature: Signature, refusing: Sequence[str]) -> Signature:
    """The signature of a model that raises on null in these columns: serving refuses what the model would."""
    if not refusing:
        return signature
    columns = tuple(
        msgspec.structs.replace(column, nullable=column.nullable and column.name not in refusing)
        for column in signature.columns
    )
    category = any(column.kind == "category" and column.name in refusing for column in columns)
    return msgspec.structs.replace(
        signature,
        columns=columns,
        missing_feature="refuse",
        unknown_category="refuse" if category else signature.unknown_category,
    )


def difference(expected: Outputs, actual: Outputs, signature: Signature) -> Difference:
    """The worst row: infinitely far where labels differ or only one of two answers is NaN."""
    if len(actual.values) != len(expected.values):
        return Difference(0, float("inf"), f"{len(actual.values)} answers to {len(expected.values)} rows")
    if signature.task == "regression":
        wanted = np.asarray(expected.values, dtype=np.float64)
        size = np.where(np.isfinite(wanted), np.maximum(1.0, np.abs(wanted)), 1.0)
        off = _distances(wanted, np.asarray(actual.values, dtype=np.float64)) / size
        row = int(np.argmax(off))
        return Difference(row, float(off[row]), f"value {actual.values[row]!r} for {expected.values[row]!r}")
    worst = Difference(0, 0.0, "label")
    if expected.probabilities is not None:
        if actual.probabilities is None or actual.probabilities.shape != expected.probabilities.shape:
            return Difference(0, float("inf"), "no probabilities, or of another shape")
        by_row = _distances(expected.probabilities, actual.probabilities)
        row, index = (int(position) for position in np.unravel_index(np.argmax(by_row), by_row.shape))
        worst = Difference(row, float(by_row[row, index]), f"probability of class {signature.classes[index]!r}")
    if worst.distance <= TOLERANCE:
        for row, (label, other) in enumerate(zip(expected.values, actual.values, strict=True)):
            if label != other:
                return Difference(row, float("inf"), f"label {other!r} for {label!r}")
    return worst


def _distances(expected: object, actual: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    wanted, got = np.asarray(expected, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(wanted - got)
    off[(wanted == got) | (np.isnan(wanted) & np.isnan(got))] = 0.0
    off[np.isnan(off)] = np.inf
    return off


def _nulls(signature: Signature, base: Matrix) -> list[Probe]:
    return [
        Probe(f"{column.name} null", _with_nulls(signature, base, (column,)), (column,))
        for column in signature.columns
        if signature.may_be_null(column)
    ]


def _with_nulls(signature: Signature, base: Matrix, columns: tuple[Column, ...]) -> Matrix:
    matrix = base.copy()
    matrix[:, [signature.columns.index(column) for column in columns]] = np.nan
    return matrix


def _unseen(signature: Signature, examples: Matrix, base: Matrix) -> list[Probe]:
    found = []
    for index, column in enumerate(signature.columns):
        if column.kind != "category":
            continue
        codes = np.setdiff1d(np.arange(len(column.categories), dtype=np.float32), examples[:, index])
        for code in codes[:UNSEEN_A_COLUMN].tolist():
            matrix = base.copy()
            matrix[:, index] = code
            found.append(
                Probe(f"{column.name} = {column.categories[int(code)]!r}, which no training row holds", matrix)
            )
    return found


def _ask(native: Predictor, probes: list[Probe]) -> tuple[list[Probe], list[Outputs], list[Probe]]:
    """One call where the model takes everything; else one a probe, to find those that it does not."""
    together = _answer(native, np.concatenate([one.matrix for one in probes]))
    if together is not None:
        return probes, _cut(together, [len(one.matrix) for one in probes]), []
    taken, answers, refused = [], [], []
    for one in probes:
        answer = _answer(native, one.matrix)
        if answer is None:
            refused.append(one)
        else:
            taken.append(one)
            answers.append(answer)
    return taken, answers, refused


def _answer(native: Predictor, matrix: Matrix) -> Outputs | None:
    """None where the model raises, and where it answers NaN, which is no answer."""
    try:
        outputs = native.predict(matrix)
    except Invalid:
        return None
    if any(value != value for value in outputs.values):
        return None
    if outputs.probabilities is not None and np.isnan(outputs.probabilities).any():
        return None
    return outputs


def _cut(outputs: Outputs, lengths: list[int]) -> list[Outputs]:
    pieces, start = [], 0
    for length in lengths:
        rows = slice(start, start + length)
        probabilities = None if outputs.probabilities is None else outputs.probabilities[rows]
        pieces.append(Outputs(outputs.values[rows], probabilities))
        start += length
    return pieces
