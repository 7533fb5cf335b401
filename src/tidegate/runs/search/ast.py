"""What a filter says: typed records, made by the parser and compiled by the store."""

from typing import Literal

import msgspec

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Aggregate = Literal["last", "min", "max"]
AttributeName = Literal[
    "id", "name", "experiment", "experiment_id", "parent", "status", "actor", "error", "started_at", "ended_at",
    "created_at", "updated_at",
    "number", "stage", "owner", "note", "run_id", "draft_id", "kind",
]  # fmt: skip
DatasetPart = Literal["name", "digest", "label"]

Operand = str | float | int
"""A value: text, a number, or an instant as integer microseconds."""


class Attribute(msgspec.Struct, frozen=True, tag=True):
    """A column of the run, the experiment or the model itself."""

    name: AttributeName


class MetricValue(msgspec.Struct, frozen=True, tag=True):
    """One number of a metric's series. NaN counts for the last value only, unless there is nothing else."""

    name: str
    aggregate: Aggregate = "last"


class Param(msgspec.Struct, frozen=True, tag=True):
    """A parameter, as text or, where it is or spells one, as a number."""

    name: str
    number: bool = False


class Tag(msgspec.Struct, frozen=True, tag=True):
    """A tag's text."""

    name: str


class Dataset(msgspec.Struct, frozen=True, tag=True):
    """Any of the dataset versions that went in."""

    part: DatasetPart


Field = Attribute | MetricValue | Param | Tag | Dataset


class Comparison(msgspec.Struct, frozen=True, tag=True):
    """A field beside a value. False where the run lacks the field."""

    field: Field
    operator: Operator
    value: Operand


class Membership(msgspec.Struct, frozen=True, tag=True):
    """A field that is one of some values, or none of them. False where the run lacks the field."""

    field: Field
    values: tuple[Operand, ...]
    negated: bool = False


class Match(msgspec.Struct, frozen=True, tag=True):
    """A text that is like a pattern (``%``, ``_``, backslash). False where the run lacks the field."""

    field: Field
    pattern: str
    ignore_case: bool = False


class Presence(msgspec.Struct, frozen=True, tag=True):
    """Whether the run has the field at all."""

    field: Field
    present: bool


class And(msgspec.Struct, frozen=True, tag=True):
    """All of them; without any, everything."""

    terms: "tuple[Term, ...]" = ()


class Or(msgspec.Struct, frozen=True, tag=True):
    """Any of them."""

    terms: "tuple[Term, ...]"


class Not(msgspec.Struct, frozen=True, tag=True):
    """The contrary."""

    term: "Term"


Term = Comparison | Membership | Match | Presence | And | Or | Not


class OrderKey(msgspec.Struct, frozen=True):
    """One key of an order. Whatever the direction, NaN comes after all numbers, and runs that lack the field last."""

    field: Field
    descending: bool = False
