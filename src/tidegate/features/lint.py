"""What a training set is warned of: features that knew more than could be known, and rows that count for nothing."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tidegate.features.expressions import columns_of
from tidegate.features.history import Booleans, Values
from tidegate.features.records import Aggregate, AppliedView, Finding


class Joined(NamedTuple):
    """A view as it was joined, and how to join it otherwise."""

    view: AppliedView
    values: tuple[Values, ...]
    never_known: int
    duplicates: int
    otherwise: Callable[[str | None], tuple[Values, ...]]
    """The features if rows were known at their event time (None), or at a column of the source."""


def findings(
    joined: Sequence[Joined], labels: str, label_columns: set[str], label_known_at: str | None, labelled: Booleans
) -> tuple[Finding, ...]:
    """Every finding, view by view. `labelled` says which rows have a known label: only those are counted."""
    found: list[Finding] = []
    for one in joined:
        found += _left_out(one)
        defined = one.view.view
        if defined.known_at is not None or defined.delay is not None:
            found.append(_availability(one, labelled))
        elif defined.source == labels and defined.event_time != label_known_at:
            found += _label_column(one, label_columns, label_known_at, labelled)
    return tuple(found)


def _left_out(one: Joined) -> list[Finding]:
    name = one.view.view.name
    found = []
    if one.never_known:
        message = f"{one.never_known:,} rows of view {name!r} have no entity or no time: they are never known"
        found.append(Finding(kind="never_known", view=name, message=message, rows=one.never_known))
    if one.duplicates:
        message = f"{one.duplicates:,} rows of view {name!r} repeat another in every column: each event counts once"
        found.append(Finding(kind="duplicates", view=name, message=message, rows=one.duplicates))
    return found


def _availability(one: Joined, labelled: Booleans) -> Finding:
    rows, of = _changed(one.values, one.otherwise(None), labelled), int(labelled.sum())
    name = one.view.view.name
    return Finding(
        kind="availability",
        view=name,
        features=tuple(one.view.types),
        rows=rows,
        of=of,
        message=f"view {name!r}: {_share(rows, of)} of the rows would differ if its were known at their event time",
    )


def _label_column(
    one: Joined, label_columns: set[str], label_known_at: str | None, labelled: Booleans
) -> list[Finding]:
    """A view of the labels' own dataset that aggregates what the label is made of, as if it had been known at once."""
    suspects = tuple(name for name in one.view.types if label_columns & _read_by(one.view, name))
    if not suspects:
        return []
    name, event = one.view.view.name, one.view.view.event_time
    when = f"known at {event!r}" if event is not None else "known always"
    rows = of = 0
    told = "give label_known_at= to learn how many rows that changes"
    if label_known_at is not None and event is not None:
        rows, of = _changed(one.values, one.otherwise(label_known_at), labelled), int(labelled.sum())
        told = f"{_share(rows, of)} of the rows differ when it counts as known at {label_known_at!r}"
    message = (
        f"view {name!r}: {', '.join(suspects)} is computed from what the label is made of "
        f"({', '.join(sorted(label_columns))}) and counts as {when}; {told}. Give the view known_at="
    )
    return [Finding(kind="label_column", view=name, features=suspects, rows=rows, of=of, message=message)]


def _read_by(view: AppliedView, name: str) -> set[str]:
    feature = view.view.features[name]
    argument = feature.of if isinstance(feature, Aggregate) else feature
    return columns_of(argument) if argument is not None else set()


def _changed(one: Sequence[Values], other: Sequence[Values], labelled: Booleans) -> int:
    """In how many of the labelled rows any feature differs."""
    differs = np.zeros(len(labelled), np.bool_)
    for first, second in zip(one, other, strict=True):
        differs |= (first.present != second.present) | (first.present & (first.data != second.data))
    return int((differs & labelled).sum())


def _share(rows: int, of: int) -> str:
    return f"{100 * rows / of:.1f} % ({rows:,} of {of:,})" if of else "none"
