"""What the room of data speaks of: versions of tables, and the contract that each was checked against."""

import math
from typing import Literal, Self

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.kernel.errors import Invalid

Kind = Literal["number", "integer", "boolean", "text", "category", "instant", "date"]
"""What a column holds. A category is text whose values are listed; an instant is aware and kept in UTC."""

Rule = Literal["missing", "added", "kind", "null", "null share", "range", "category", "order"]
"""What of a contract was violated."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a contract. A bound that is null does not bind."""

    name: str
    kind: Kind
    nullable: bool = False
    share_null: float = 1.0
    """At most this share of a commit of 100 rows or more may be null (or NaN), where null is allowed at all."""
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"field {self.name!r} of the contract"
        if not self.name:
            raise Invalid("a field of the contract has no name: give every column one")
        bounds = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        if bounds and self.kind not in ("number", "integer"):
            raise Invalid(f"{where} is a {self.kind} and has a range: leave minimum and maximum out")
        if not all(math.isfinite(bound) for bound in bounds):
            raise Invalid(f"{where}: a bound is a finite number; leave it out where nothing binds")
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise Invalid(f"{where}: the minimum {bounds[0]:g} is above the maximum {bounds[1]:g}")
        if not 0.0 <= self.share_null <= 1.0:
            raise Invalid(f"{where}: share_null {self.share_null:g} is outside 0 to 1")
        if (self.kind == "category") != bool(self.categories):
            raise Invalid(f"{where} is a {self.kind}: a category lists its values, nothing else does")


class Contract(msgspec.Struct, frozen=True):
    """What every version of a dataset promises: its columns in order, and the column that it is sorted by."""

    fields: tuple[Field, ...]
    sorted_by: str | None = None

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if not names:
            raise Invalid("a contract names at least one column")
        for name in names:
            if names.count(name) > 1:
                raise Invalid(f"the contract names column {name!r} twice: rename one")
        if self.sorted_by is not None and self.sorted_by not in names:
            raise Invalid(f"the contract is sorted by {self.sorted_by!r}, which is none of its columns")

    def field(self, name: str) -> Field:
        """The field of that name. Raises `Invalid` when there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        known = ", ".join(field.name for field in self.fields)
        raise Invalid(f"the contract has no column {name!r}; it has {known}", field=name)

    def changed(self, name: str, /, **changes: object) -> Self:
        """The contract with one field changed, as in ``contract.changed("distance_miles", maximum=9000)``."""
        old = self.field(name)
        unknown = sorted(set(changes) - set(Field.__struct_fields__))
        if unknown:
            raise Invalid(f"a field has no {unknown[0]!r}; it has {', '.join(Field.__struct_fields__)}")
        new = msgspec.structs.replace(old, **changes)
        fields = tuple(new if field is old else field for field in self.fields)
        return msgspec.structs.replace(self, fields=fields)


class ContractRevision(msgspec.Struct, frozen=True, kw_only=True):
    """A contract as it came into force for a dataset; the greatest revision is the one in force."""

    name: str
    revision: int
    contract: Contract
    digest: str
    created_at: Instant
    created_by: str
    note: str = ""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of the contract that data broke. Rows count from 0; the first ten are named, all are counted."""

    column: str
    rule: Rule
    message: str
    rows: tuple[int, ...] = ()
    count: int = 0


class Fragment(msgspec.Struct, frozen=True):
    """Some consecutive rows of a version, as one Parquet object."""

    digest: str
    rows: int
    bytes: int


class ManifestColumn(msgspec.Struct, frozen=True):
    """A column as it is stored."""

    name: str
    stored: Literal["number", "integer", "boolean", "text", "instant", "date"]


class Manifest(msgspec.Struct, frozen=True):
    """What a version is: its columns and its fragments in order. The digest of its canonical JSON names the version."""

    columns: tuple[ManifestColumn, ...]
    fragments: tuple[Fragment, ...]
    format: Literal[1] = 1

    @property
    def rows(self) -> int:
        """How many rows the fragments hold together."""
        return sum(fragment.rows for fragment in self.fragments)


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable state of a dataset, with the contract that it was checked against."""

    name: str
    number: int
    digest: str
    rows: int
    contract: Contract
    contract_revision: int
    fragments: tuple[Fragment, ...]
    created_at: Instant
    created_by: str
    note: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A named dataset and its newest version."""

    name: str
    latest: int
    digest: str
    rows: int
    created_at: Instant
    updated_at: Instant


class Origin(msgspec.Struct, frozen=True):
    """The dataset version that rows came from. ``label`` is what people call it, such as ``flights/3``."""

    digest: str
    label: str
