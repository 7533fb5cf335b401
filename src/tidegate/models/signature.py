"""What goes into a model and what comes out, and the hot path that turns rows into its matrix."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from operator import itemgetter
from struct import error as StructError
from struct import pack
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.data.matrix import infer_columns
from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import LARGEST, Column, refuse_doubles

Label = str | int | float | bool
Task = Literal["classification", "regression"]
Policy = Literal["null", "refuse"]

MOST_INTEGER_CLASSES: Final = 20
_ABSENT: Final = object()
_NUMBERS: Final = frozenset((float, int))
_NONE: Final = type(None)
_LARGEST_BYTES: Final = pack("<f", LARGEST)[:3]
"""Of `LARGEST` and of its negative: a number that is a little larger is rounded to it."""

Step = tuple[str, type, Callable[[Any], float | None] | None, bool]
Tallies = tuple[dict[str, int], dict[str, int]]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a model in the order of its matrix, its task, and what serving does with surprises.

    `unknown_category`: a category that its column does not list is served as null, or refused.
    `missing_feature`: a field that is absent, or null in a column that is not nullable, is served as null, or refused.
    """

    columns: tuple[Column, ...]
    task: Task
    classes: tuple[Label, ...] = ()
    unknown_category: Policy = "null"
    missing_feature: Policy = "null"

    def __post_init__(self) -> None:
        if not self.columns:
            raise Invalid("a signature needs at least one column")
        refuse_doubles(self.columns)
        if self.task == "classification" and not self.classes:
            raise Invalid("a classification needs its classes")
        if self.task == "regression" and self.classes:
            raise Invalid("a regression has no classes: leave them out")

    def may_be_null(self, column: Column) -> bool:
        """Whether serving can hand the model a NaN in this column."""
        unknown = column.kind == "category" and self.unknown_category == "null"
        return column.nullable or unknown or self.missing_feature == "null"


def infer_signature(inputs: object, target: object, columns: Sequence[Column] | None = None) -> Signature:
    """The signature of a model that takes `inputs`: a Polars or pandas frame, or a matrix of shape (rows, columns).

    `target` is the fitted model (surest: it knows its classes) or the target column. Of a target, floats mean
    regression, text and booleans classification, integers classification up to 20 distinct values.
    The columns of a matrix are those given, else numbers named ``x0``, ``x1``, …, nullable where they hold a NaN.
    """
    task, classes = _task_and_classes(target)
    return Signature(columns=_columns_of(inputs, columns), task=task, classes=classes)


class EncodedRows(msgspec.Struct, frozen=True):
    """Rows as a C-contiguous float32 matrix, and the surprises of each column that held any, counted."""

    matrix: NDArray[np.float32]
    unknown: dict[str, int]
    missing: dict[str, int]


class Encoder:
    """Turns rows of named values into the matrix of one signature.

    A number is an int or a float (a boolean is none, text is none) up to the largest float32; a boolean is true or
    false (0 and 1 are none); a category is text. Null is None, or NaN in any column. Infinities, larger numbers, other
    types and fields that the signature does not know raise `Invalid`, which names the row, the field and the remedy.
    """

    __slots__ = ("_coded", "_codes", "_columns", "_nullable", "_plan", "_signature", "_typed", "_values_of")

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._columns = {column.name: column for column in signature.columns}
        self._codes = {column.name: column.codes() for column in signature.columns}
        self._plan: tuple[Step, ...] = tuple(map(self._step, signature.columns))
        self._coded = [(at, accepted, code) for at, (_, accepted, code, _) in enumerate(self._plan) if code is not None]
        self._nullable = {at for at, (_, _, _, nullable) in enumerate(self._plan) if nullable}
        self._typed: Callable[[bytes], list[msgspec.Struct]] | None = None
        names = list(self._columns)
        self._values_of: Callable[[Any], Sequence[Any]] = (
            itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
        )

    def encode(self, rows: Sequence[Mapping[str, object]]) -> EncodedRows:
        """The rows as a matrix of shape (rows, columns)."""
        matrix = self._plain(rows)
        return self._patient(rows) if matrix is None else EncodedRows(matrix, {}, {})

    def encode_json(self, text: bytes) -> EncodedRows | None:
        """The rows of a JSON array, without making them first; None unless all are plainly as the signature says.

        Of a field that a row names twice the last counts, as everywhere: who must know has to look for it.
        """
        if self._typed is None:
            self._typed = msgspec.json.Decoder(list[_row_type(self._signature.columns)]).decode  # type: ignore[misc]
        try:
            rows = self._typed(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        values = list(chain.from_iterable(map(msgspec.structs.astuple, rows)))
        matrix = self._packed(values, typed=True)
        return None if matrix is None else EncodedRows(matrix, {}, {})

    def _plain(self, rows: Sequence[Mapping[str, object]]) -> NDArray[np.float32] | None:
        """The matrix of rows whose every value is plainly what its column expects, or null; None of any others."""
        values_of, width = self._values_of, len(self._plan)
        values: list[Any] = []
        try:
            for row in rows:
                if type(row) is not dict or len(row) != width:
                    return None
                values += values_of(row)
        except KeyError:
            return None
        return self._packed(values, typed=False)

    def _packed(self, values: list[Any], *, typed: bool) -> NDArray[np.float32] | None:
        """The values, row by row, as a matrix; ``typed`` where their types are known to be those of their columns."""
        width = len(self._plan)
        try:
            nulls = [place for place, value in enumerate(values) if value is None] if self._nullable else []
            if nulls and not self._nullable.issuperset(place % width for place in nulls):
                return None
            for at, accepted, code_of in self._coded:
                column = values[at::width]
                if not typed and not {accepted, _NONE}.issuperset(map(type, column)):
                    return None
                values[at::width] = map(code_of, column)
            for place in nulls:
                values[place] = 0.0
            if not values or not (typed or _NUMBERS.issuperset(map(type, values))):
                return None
            packed = bytearray(pack(f"<{len(values)}f", *values))  # five times as fast as numpy takes a list
        except (OverflowError, StructError):
            return None
        if _LARGEST_BYTES in packed or not isfinite(sum(values)):
            return None
        matrix = np.frombuffer(packed, "<f4")
        if nulls:
            matrix[nulls] = math.nan
        return matrix.reshape(-1, width)

    def _patient(self, rows: Sequence[Mapping[str, object]]) -> EncodedRows:
        """Any rows, value by value."""
        plan, width, absent = self._plan, len(self._plan), _ABSENT
        low, high, number, integer, nan = -LARGEST, LARGEST, float, int, math.nan
        low_exact, exact = (
            -(2**53),
            2**53,
        )  # integers compare faster with integers, and larger ones are rare
        codes: list[float | int] = []
        add = codes.append
        unknown: dict[str, int] = {}
        missing: dict[str, int] = {}
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise Invalid(f"rows[{index}]: expected an object of named values, got {_shown(row)}", row=index)
            get = row.get
            for name, accepted, code_of, nullable in plan:
                value = get(name, absent)
                kind = type(value)
                if code_of is None:
                    if (kind is number and low <= value <= high) or (kind is integer and low_exact <= value <= exact):
                        add(value)
                        continue
                elif kind is accepted:
                    code = code_of(value)
                    if code is not None:
                        add(code)
                        continue
                if value is None and nullable:
                    add(nan)
                    continue
                if value is absent:
                    self._refuse_strangers(index, row)
                add(self._surprise(index, name, value, (unknown, missing)))
            if len(row) != width:
                self._refuse_strangers(index, row)
        return EncodedRows(np.array(codes, np.float32).reshape(-1, width), unknown, missing)

    def _step(self, column: Column) -> Step:
        """What the loop needs: the name, the type that plainly fits, the code of such a value, may it be null."""
        if column.kind == "number":
            return column.name, float, None, column.nullable
        if column.kind == "boolean":
            return column.name, bool, {False: 0.0, True: 1.0}.get, column.nullable
        return column.name, str, self._codes[column.name].get, column.nullable

    def _surprise(self, index: int, name: str, value: object, tallies: Tallies) -> float:
        """The code of a value that is not plainly what its column expects."""
        column = self._columns[name]
        if isinstance(value, np.generic):
            value = value.item()
        if value is _ABSENT or value is None or (isinstance(value, float) and value != value):
            return self._null(index, column, value is _ABSENT, tallies)
        if column.kind == "category" and isinstance(value, str):
            code = self._codes[name].get(value)
            return self._unknown(index, column, value, tallies) if code is None else code
        if column.kind == "boolean" and isinstance(value, bool):
            return float(value)
        if column.kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
            if not -LARGEST <= value <= LARGEST:
                raise _wrong(index, column, "got one that is infinite or beyond float32")
            return float(value)
        raise _wrong(index, column, f"got {_shown(value)}")

    def _null(self, index: int, column: Column, absent: bool, tallies: Tallies) -> float:
        if absent or not column.nullable:
            if self._signature.missing_feature == "refuse":
                raise _wrong(index, column, "it is missing" if absent else "got null")
            tallies[1][column.name] = tallies[1].get(column.name, 0) + 1
        return math.nan

    def _unknown(self, index: int, column: Column, value: str, tallies: Tallies) -> float:
        if self._signature.unknown_category == "refuse":
            raise _wrong(index, column, f"got {_shown(value)}{_guess(value, column.categories)}")
        tallies[0][column.name] = tallies[0].get(column.name, 0) + 1
        return math.nan

    def _refuse_strangers(self, index: int, row: Mapping[str, object]) -> None:
        for field in row:
            if field not in self._columns:
                guess = _guess(str(field), tuple(self._columns)) or f"; the fields are {_listed(tuple(self._columns))}"
                raise Invalid(
                    f"rows[{index}].{_clipped(str(field))}: there is no such field{guess}", row=index, field=str(field)
                )


def _row_type(columns: Iterable[Column]) -> type[msgspec.Struct]:
    """A row of these columns and no other, as a decoder checks it."""
    kinds: dict[str, type] = {"number": float, "boolean": bool, "category": str}
    fields = {f"column_{at}": column for at, column in enumerate(columns)}
    return msgspec.defstruct(
        "Row",
        [
            (field, kinds[column.kind] | None if column.nullable else kinds[column.kind])
            for field, column in fields.items()
        ],
        rename={field: column.name for field, column in fields.items()},
        forbid_unknown_fields=True,
        gc=False,
    )


def _wrong(index: int, column: Column, got: str) -> Invalid:
    expected = {"number": "a number", "boolean": "true or false"}.get(column.kind)
    if expected is None:
        expected = f"one of {_listed(column.categories)}"
    if column.nullable:
        expected += " or null"
    return Invalid(
        f"rows[{index}].{column.name}: expected {expected}, {got}", row=index, field=column.name, expected=expected
    )


def _listed(names: tuple[str, ...], most: int = 8) -> str:
    shown = ", ".join(repr(_clipped(name)) for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown or "none"


def _guess(word: str, among: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word[:64], among[:2000], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _clipped(text: str) -> str:
    return text if len(text) <= 64 else text[:63] + "…"


def _shown(value: object) -> str:
    """A value as an error may show it: short, and never the work of a hostile repr."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return repr(_clipped(value))
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**64):
        return repr(value)
    return {int: "a huge integer", list: "a list", dict: "an object"}.get(type(value), f"a {type(value).__name__}")


def _columns_of(inputs: object, columns: Sequence[Column] | None) -> tuple[Column, ...]:
    if not isinstance(inputs, np.ndarray):
        inferred = infer_columns(inputs)
        if columns is None:
            return inferred
        absent = [column.name for column in columns if column.name not in {known.name for known in inferred}]
        if absent:
            raise Invalid(f"the frame has no column {absent[0]!r}; it has {_listed(tuple(c.name for c in inferred))}")
        return tuple(columns)
    if inputs.ndim != 2 or inputs.dtype.kind not in "fiub":
        raise Invalid(f"expected a matrix of numbers with two dimensions, got shape {inputs.shape} of {inputs.dtype}")
    if columns is None:
        nulls = [bool(np.isnan(values).any()) for values in inputs.T]
        return tuple(Column(f"x{index}", "number", null) for index, null in enumerate(nulls))
    if len(columns) != inputs.shape[1]:
        raise Invalid(f"{len(columns)} columns were given for a matrix that has {inputs.shape[1]}")
    return tuple(columns)


def _task_and_classes(target: object) -> tuple[Task, tuple[Label, ...]]:
    if hasattr(target, "predict"):
        classes = getattr(target, "classes_", None)
        return ("regression", ()) if classes is None else ("classification", _labels(classes))
    values = np.asarray(target)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.ravel()
    if values.ndim != 1 or not values.size:
        raise Invalid(f"expected one target a row, or the fitted model; got shape {values.shape}")
    if values.dtype.kind == "f":
        return "regression", ()
    if values.dtype.kind == "O":
        return "classification", _labels(values.tolist())
    distinct = np.unique(values)
    if values.dtype.kind in "iu" and distinct.size > MOST_INTEGER_CLASSES:
        return "regression", ()
    return "classification", _labels(distinct)


def _labels(values: object) -> tuple[Label, ...]:
    """Classes as sorted Python scalars; a model's own classes are sorted already."""
    labels = values.tolist() if isinstance(values, np.ndarray) else list(values)  # type: ignore[call-overload]
    if any(not isinstance(label, str | int | float) or label != label for label in labels):
        raise Invalid(
            "classes must be text, numbers or booleans, one a row and none null: leave out rows without a target"
        )
    if len({isinstance(label, str) for label in labels}) > 1:
        raise Invalid("the classes mix text and numbers: cast the target to one type")
    return tuple(sorted(set(labels)))
