"""The figures of a window's segments: the traffic parted by the values of a column of the inputs."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from tidegate.monitors import columns, profile
from tidegate.monitors.drift_records import Segment
from tidegate.monitors.rules import Flags, Sample, worth_of

MOST_COLUMNS = 8
MOST_VALUES = 50


def segments_of(rows: pl.DataFrame, names: Sequence[str]) -> list[Segment]:
    """The segments of some rows (`profile.rows_of`) by each of the columns named; most frequent values first."""
    if not names or rows.is_empty():
        return []
    sample, classification = profile.sample_of(rows)
    values = columns.taken_out(rows["inputs"], names)
    return [segment for name in names for segment in _by(name, values[name], sample, classification)]


def _by(name: str, values: pl.Series, sample: Sample, classification: bool) -> list[Segment]:
    counts = values.value_counts().sort(["count", values.name], descending=[True, False], nulls_last=True)
    ordered = counts[values.name].to_list()
    array = np.array(values.to_list(), dtype=object)
    found = [
        _segment(name, value, _rows_in(sample, np.asarray(array == value, dtype=np.bool_)), classification)
        for value in ordered[:MOST_VALUES]
    ]
    if len(ordered) > MOST_VALUES:
        rest = np.isin(array.astype(str), [str(value) for value in ordered[MOST_VALUES:]])
        found.append(_segment(name, None, _rows_in(sample, rest), classification, overflow=True))
    return found


def _rows_in(sample: Sample, mask: Flags) -> Sample:
    return Sample(**{name: column[mask] for name, column in sample._asdict().items()})


def _segment(name: str, value: str | None, sample: Sample, classification: bool, *, overflow: bool = False) -> Segment:
    worth = worth_of(sample, classification=classification)
    return Segment(
        column=name,
        value=value,
        overflow=overflow,
        predictions=len(sample.labelled),
        labels=int(sample.labelled.sum()),
        score=worth.score,
        accuracy=worth.accuracy,
        auc=worth.auc,
        brier=worth.brier,
        mae=worth.mae,
    )
