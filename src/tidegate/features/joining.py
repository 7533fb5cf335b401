"""Builds training sets: every view's features joined to the label rows, each as of its row's instant."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tidegate.data.matrix import infer_columns
from tidegate.data.records import DatasetVersion, Origin
from tidegate.features.batch import Batch, Source, codes_of, series_of
from tidegate.features.batch_expressions import compute_columns, polars_type
from tidegate.features.expressions import AnyExpression, SourceType, columns_of, type_of
from tidegate.features.history import NOBODY, Integers, Moments, Values, read_history
from tidegate.features.lint import Joined, findings
from tidegate.features.records import AppliedService
from tidegate.features.rules import source_types
from tidegate.features.training import Recipe, TrainingSet
from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column

if TYPE_CHECKING:
    import polars as pl

NEVER = 2**62
"""The moment of knowledge that nothing has."""


class Table(NamedTuple):
    """A dataset version with its rows."""

    version: DatasetVersion
    frame: "pl.DataFrame"

    @property
    def types(self) -> dict[str, SourceType]:
        """The columns' types."""
        return source_types(self.version.contract)


class Wanted(NamedTuple):
    """What `Features.training_set` was asked for; instants in microseconds."""

    at: str
    label: AnyExpression
    label_known_at: str | None
    known_by: int | None
    since: int | None
    until: int | None
    extra: tuple[str, ...]


def build(applied: AppliedService, labels: Table, wanted: Wanted, read: Callable[[str], Table]) -> TrainingSet:
    """The training set. `read` gives the newest version of a dataset. Raises `Invalid` naming what does not fit."""
    _check(applied, labels, wanted)
    tables = {view.view.source: read(view.view.source) for view in applied.views}
    sources = {name: Source(table.frame, table.types, str(table.version)) for name, table in tables.items()}
    rows = _chosen(labels.frame, wanted)
    y = _labels(rows, labels, wanted)
    with ThreadPoolExecutor(os.cpu_count(), "join") as threads:  # sorting and searching let other threads run
        joined = list(
            threads.map(lambda place: _joined(place, applied, sources, rows, wanted), range(len(applied.views)))
        )
    frame = rows.hstack([series for one in joined for series in one.series])
    recipe = Recipe(
        service=applied.digest,
        labels=labels.version.digest,
        sources=tuple(tables[view.view.source].version.digest for view in applied.views),
        **wanted._asdict(),
    )
    origins = dict.fromkeys(Origin(table.version.digest, str(table.version)) for table in (labels, *tables.values()))
    return TrainingSet(
        frame,
        recipe,
        service=applied,
        y=y,
        columns=_columns(applied, frame, wanted.extra),
        lineage=tuple(origins),
        lint=lambda: findings(
            [one.joined for one in joined],
            labels.version.name,
            columns_of(wanted.label),
            wanted.label_known_at,
            y.is_not_null().to_numpy(),
        ),
    )


class _View(NamedTuple):
    """A view's part of the frame, and what the lint needs to know."""

    series: "list[pl.Series]"
    joined: Joined


def _joined(
    place: int, applied: AppliedService, sources: Mapping[str, Source], rows: "pl.DataFrame", wanted: Wanted
) -> _View:
    view = applied.views[place]
    source = sources[view.view.source]
    batch = source.batch(view)
    asked = _moments(rows, codes_of(rows, view, batch.keys), wanted)
    values = read_history(view, batch.history, asked)
    outputs = [output for output in applied.inputs if output.view == place]
    series = [series_of(output.name, one, output.type) for output, one in zip(outputs, values, strict=True)]

    def otherwise(known_at: str | None) -> tuple[Values, ...]:
        """The same features with knowledge ignored (None), or taken from another column."""
        if known_at is None:
            return read_history(view, batch.history._replace(known=batch.history.event), asked)
        other: Batch = source.batch(view, known_at)
        return read_history(view, other.history, asked._replace(code=codes_of(rows, view, other.keys)))

    return _View(series, Joined(view, values, batch.never_known, batch.duplicates, otherwise))


def _moments(rows: "pl.DataFrame", codes: Integers, wanted: Wanted) -> Moments:
    """Who asks when; a row without an instant asks of nobody."""
    instants = rows[wanted.at].to_physical()
    at = instants.fill_null(0).to_numpy()
    seen = at if wanted.known_by is None else np.minimum(at, wanted.known_by)
    return Moments(np.where(instants.is_not_null().to_numpy(), codes, NOBODY), at, seen)


def _check(applied: AppliedService, labels: Table, wanted: Wanted) -> None:
    types = labels.types
    for name in (wanted.at, wanted.label_known_at):
        if name is not None and types.get(name) != "Instant":
            raise Invalid(
                f"{name!r} is no column of instants in {labels.version}: there are "
                f"{', '.join(one for one, kind in types.items() if kind == 'Instant') or 'none'}",
                field=name,
            )
    if wanted.known_by is not None and wanted.label_known_at is None:
        raise Invalid(
            "known_by says until when labels are known: name the column that says since when each one is, "
            "with label_known_at=",
            field="label_known_at",
        )
    for name, kind in applied.service.request.items():
        if name not in types or (types[name] != kind and (types[name], kind) != ("Int64", "Float64")):
            raise Invalid(
                f"request feature {name!r} of {applied} is {kind}, and {types.get(name) or 'absent'} in "
                f"{labels.version}: training rows bring it as a column of their own",
                field=name,
            )
    for name in wanted.extra:
        if types.get(name) not in ("Int64", "Float64", "Boolean", "Text") or name in applied.service.request:
            raise Invalid(f"extra column {name!r}: {labels.version} has no such column for a model to take", field=name)
    taken = [output.name for output in applied.inputs if output.view is not None and output.name in types]
    if taken:
        raise Invalid(
            f"{labels.version} has a column {taken[0]!r}, and so is a feature of {applied}: rename the feature",
            field=taken[0],
        )


def _chosen(frame: "pl.DataFrame", wanted: Wanted) -> "pl.DataFrame":
    import polars as pl

    instant = pl.col(wanted.at).to_physical()
    if wanted.since is not None:
        frame = frame.filter(instant >= wanted.since)
    if wanted.until is not None:
        frame = frame.filter(instant < wanted.until)
    if not frame.height:
        raise Invalid(f"no label row has its {wanted.at!r} in the time asked for", field="since")
    return frame


def _labels(rows: "pl.DataFrame", labels: Table, wanted: Wanted) -> "pl.Series":
    """The label of each row, null where it is not known."""
    type_of(wanted.label, labels.types, f"the label of {labels.version}")
    known = compute_columns(rows, {"label": wanted.label}, labels.types)["label"]
    hidden = rows[wanted.at].is_null()
    if wanted.label_known_at is not None and wanted.known_by is not None:
        since = rows[wanted.label_known_at].to_physical()
        hidden |= (since.is_null() | (since > wanted.known_by)).fill_null(True)
    return known.set(hidden, None)


def _columns(applied: AppliedService, frame: "pl.DataFrame", extra: tuple[str, ...]) -> tuple[Column, ...]:
    """The columns of the matrix. A view's feature may always be null: what is not known yet, or has expired."""
    import polars as pl

    chosen = [pl.col(output.name).cast(polars_type(output.type)) for output in applied.inputs]
    inferred = infer_columns(frame.select(*chosen, *extra))
    from_views = {output.name for output in applied.inputs if output.view is not None}
    return tuple(Column(one.name, one.kind, one.nullable or one.name in from_views, one.categories) for one in inferred)
