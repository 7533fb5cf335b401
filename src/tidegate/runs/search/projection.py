"""Which parts of the runs that were found are read: all, or the ones that are named."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.kernel.errors import Invalid

MOST_FIELDS: Final = 100
NAMED_PARTS: Final = ("params", "metrics", "tags")
WHOLE_PARTS: Final = ("inputs", "artifacts", "code", "environment")


class Names(msgspec.Struct, frozen=True):
    """Which of the entries of a part: all, or those with these names, or that begin with one of these."""

    all: bool = False
    exact: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.all or bool(self.exact or self.prefixes)


class Projection(msgspec.Struct, frozen=True):
    """The parts to read. The run's own columns are always read."""

    named: dict[str, Names]
    """Of `NAMED_PARTS`, those that are wanted."""
    whole: frozenset[str]
    """Of `WHOLE_PARTS`, those that are wanted."""


EVERYTHING: Final = Projection({part: Names(all=True) for part in NAMED_PARTS}, frozenset(WHOLE_PARTS))


def parse_projection(fields: Sequence[str]) -> Projection:
    """The parts that ``params``, ``metrics.auc``, ``tags.mlflow.*`` name; without any, all of them.

    ``attributes`` stands for the run's own columns, which come anyhow. Raises `Invalid` for what names no part.
    """
    if len(fields) > MOST_FIELDS:
        raise Invalid(f"at most {MOST_FIELDS} fields are asked for at a time, not {len(fields)}", field="fields")
    if not fields:
        return EVERYTHING
    found: dict[str, list[str]] = {}
    for field in fields:
        part, dot, name = field.partition(".")
        if (dot and (part not in NAMED_PARTS or not name)) or part not in (*NAMED_PARTS, *WHOLE_PARTS, "attributes"):
            raise Invalid(
                f"fields: {field[:80]!r} names no part of a run: there are attributes, {', '.join(NAMED_PARTS)} (also "
                f"metrics.auc and tags.mlflow.*), {', '.join(WHOLE_PARTS)}",
                field="fields",
            )
        _check_characters(field)
        found.setdefault(part, []).append(name or "*")
    named: dict[str, Names] = {part: _names(found[part]) for part in NAMED_PARTS if part in found}
    return Projection(named, frozenset(part for part in WHOLE_PARTS if part in found))


def _names(asked: Sequence[str]) -> Names:
    if "*" in asked:
        return Names(all=True)
    exact = tuple(name for name in asked if not name.endswith("*"))
    return Names(exact=exact, prefixes=tuple(name[:-1] for name in asked if name.endswith("*")))


def _check_characters(field: str) -> None:
    if not field.isprintable():
        raise Invalid(f"fields: {field[:80]!r} has characters that no name has", field="fields")
