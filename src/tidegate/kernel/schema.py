"""What one input column of a model is, and the one numeric coding that training and serving share."""

from typing import Final, Literal

import msgspec

from tidegate.kernel.errors import Invalid

Kind = Literal["number", "boolean", "category"]

LARGEST: Final = 3.4028234663852886e38
"""The largest magnitude that a number may have: the largest finite float32."""

MOST_CATEGORIES: Final = 2**24
"""Beyond this a category's index is no longer exact as float32."""


class Column(msgspec.Struct, frozen=True):
    """One input column of a model.

    Its coding as float32: a number is itself, a boolean 0 or 1, a category its index in `categories`,
    and null, NaN and a category that is not listed are NaN. Infinities and magnitudes above `LARGEST` have no coding.
    """

    name: str
    kind: Kind
    nullable: bool
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise Invalid("a column has no name: give every column one")
        if self.kind != "category" and self.categories:
            raise Invalid(f"column {self.name!r} is a {self.kind} and lists categories: leave them out")
        if len(set(self.categories)) != len(self.categories):
            raise Invalid(f"column {self.name!r} lists a category twice: list each once")
        if len(self.categories) > MOST_CATEGORIES:
            raise Invalid(f"column {self.name!r} has {len(self.categories):,} categories; at most {MOST_CATEGORIES:,}")

    def codes(self) -> dict[str, float]:
        """The code of each category."""
        return {category: float(index) for index, category in enumerate(self.categories)}


def refuse_doubles(columns: tuple[Column, ...]) -> None:
    """Raise `Invalid` naming the column that appears twice."""
    seen: set[str] = set()
    for column in columns:
        if column.name in seen:
            raise Invalid(f"column {column.name!r} appears twice: rename one")
        seen.add(column.name)
