"""What a chart shows of the points of each bucket."""

from collections.abc import Iterable, Sequence

import numpy as np

from tidegate.runs.records import Bucket
from tidegate.runs.series.chunks import Columns, joined, part_of, summary_of_columns
from tidegate.runs.series.grids import Grid
from tidegate.runs.series.points import Summary, combined, value_of


def buckets(grid: Grid, whole: Iterable[tuple[int, Summary]], parts: Sequence[Columns]) -> tuple[Bucket, ...]:
    """The buckets that hold anything, in order, from summaries with their buckets and from sorted points."""
    found: dict[int, Summary] = {}
    for place, told in [*whole, *_summed_up(grid, joined(parts))]:
        found[place] = combined(found[place], told) if place in found else told
    return tuple(_bucket(grid, place, found[place]) for place in sorted(found))


def _summed_up(grid: Grid, columns: Columns) -> Iterable[tuple[int, Summary]]:
    """The points within the grid, by bucket."""
    starts = np.searchsorted(columns.steps, np.array(grid.edges(), dtype=np.int64)).tolist()
    ends = [*starts[1:], int(np.searchsorted(columns.steps, grid.end, side="right"))] if starts else []
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if start < end:
            yield place, summary_of_columns(part_of(columns, start, end))


def _bucket(grid: Grid, place: int, told: Summary) -> Bucket:
    start, end = grid.steps(place)
    return Bucket(
        start_step=start,
        end_step=end,
        count=told.count,
        nan_count=told.nan_count,
        first_step=told.first.step,
        first=value_of(told.first.rank),
        last_step=told.last.step,
        last=value_of(told.last.rank),
        least_step=None if told.least is None else told.least.step,
        least=None if told.least is None else value_of(told.least.rank),
        greatest_step=None if told.greatest is None else told.greatest.step,
        greatest=None if told.greatest is None else value_of(told.greatest.rank),
    )
