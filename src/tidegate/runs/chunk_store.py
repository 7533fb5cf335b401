"""The tables of points: small rows as they arrive (the tail), and sealed chunks under a pyramid of summaries.

Laws:

1. Chunks of a series do not overlap: a point that comes late is merged into the chunk whose range it falls in.
2. Sealing belongs to the transaction of the write that made the tail long: who is killed meanwhile has changed nothing.
3. A node of the pyramid sums up the nodes below it, from its first point to before that of the next node.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, Final

import msgspec
import numpy as np
import sqlalchemy as sa

from tidegate.runs.series.chunks import (
    Columns,
    by_time,
    columns_of,
    decoded,
    joined,
    part_of,
    picked,
    point_at,
    points_of,
    stretches,
    within,
)
from tidegate.runs.series.points import Extreme, Point, Summary, combined
from tidegate.storage.schema import HOLDS_NONE, AutoKey, Micros, table


class Sizes(msgspec.Struct, frozen=True):
    """How many points and nodes stand together."""

    chunk: int = 512
    """Points that a chunk begins with."""
    most: int = 768
    """Points of a tail that has some of them sealed, and of a chunk that is not divided yet."""
    fan: int = 16
    """Nodes that one above them sums up; a level begins when the one below has more."""
    top: int = 2
    """The highest level: a node of it stands for about 100,000 points."""
    pieces: int = 8
    """Chunks that a write may seal: a few milliseconds."""
    worth: int = 64
    """Points that are worth a chunk when no more will come."""


_BLOBS_AT_ONCE: Final = 256
_MOST_MICROS: Final = 2**63 - 1

tail = table(
    "run_metric_tail",
    sa.Column("series_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Micros, primary_key=True, autoincrement=False),
    sa.Column("rank", sa.BigInteger, primary_key=True, autoincrement=False),
    room="runs",
    by_key=True,
)

chunks = table(
    "run_metric_chunk",
    sa.Column("series_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),  # 0 holds points, others sum up
    sa.Column("first_step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("first_at", Micros, primary_key=True, autoincrement=False),
    sa.Column("first_rank", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("last_at", Micros, nullable=False),
    sa.Column("last_rank", sa.BigInteger, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("nan_count", sa.BigInteger, nullable=False),
    sa.Column("least_rank", sa.BigInteger, nullable=True),
    sa.Column("least_step", sa.BigInteger, nullable=True),
    sa.Column("greatest_rank", sa.BigInteger, nullable=True),
    sa.Column("greatest_step", sa.BigInteger, nullable=True),
    sa.Column("blob_id", sa.BigInteger, nullable=True),
    sa.Column("least_at", Micros, nullable=True),  # of points; null where they were sealed before this was noted
    sa.Column("greatest_at", Micros, nullable=True),
    room="runs",
    by_key=True,
)

blobs = table(
    "run_metric_blob",
    sa.Column("id", AutoKey, primary_key=True, autoincrement=True),
    sa.Column("blob", sa.LargeBinary, nullable=False, info=HOLDS_NONE),
    room="runs",
)

point_key = sa.tuple_(tail.c.step, tail.c.at, tail.c.rank)
ORDER = (tail.c.step, tail.c.at, tail.c.rank)
_point_by_time = sa.tuple_(tail.c.at, tail.c.step, tail.c.rank)
_BY_TIME = (tail.c.at, tail.c.step, tail.c.rank)
first_key = sa.tuple_(chunks.c.first_step, chunks.c.first_at, chunks.c.first_rank)
_EXTENT = (
    chunks.c.blob_id,
    chunks.c.count,
    chunks.c.first_step,
    chunks.c.last_step,
    chunks.c.last_at,
    chunks.c.last_rank,
)
ASCENDING = (chunks.c.first_step, chunks.c.first_at, chunks.c.first_rank)
_DESCENDING = tuple(column.desc() for column in ASCENDING)


class SeriesPoints:
    """The points of one series, within a transaction."""

    def __init__(self, connection: sa.Connection, series_id: int, sizes: Sizes) -> None:
        self._connection = connection
        self._series_id = series_id
        self._sizes = sizes

    def sealed_of(self, points: Iterable[Point]) -> set[Point]:
        """Those of some points that lie in chunks."""
        asked = sorted(points)
        cover = self._covering(0, asked[0])
        low = asked[0] if cover is None else first_of(cover)
        nodes = self._connection.execute(self._nodes(0).where(first_key >= low, first_key <= asked[-1])).all()
        covered = [node for node in nodes if any(first_of(node) <= point <= _last(node) for point in asked)]
        return set(points_of(self._decoded(covered))).intersection(asked)

    def sealed_after(self, after: Point | None, limit: int) -> list[Columns]:
        """The sealed points after one, in order, as parts: so many at least, where there are so many."""
        parts: list[Columns] = []
        query = self._nodes(0).order_by(*ASCENDING)
        cover = None if after is None else self._covering(0, after)
        more = query if cover is None else query.where(first_key >= first_of(cover))
        missing = limit
        while missing > 0:
            wanted = missing // self._sizes.chunk + 2
            nodes = self._connection.execute(more.limit(wanted)).all()
            columns = self._decoded(nodes)
            parts.append(columns if after is None else _later(columns, after))
            missing -= len(parts[-1].steps)
            if len(nodes) < wanted:
                break
            more = query.where(first_key > first_of(nodes[-1]))
        return parts

    def tail_after(self, after: Point | None, limit: int) -> list[Point]:
        """The points of the tail after one, in order."""
        query = sa.select(*ORDER).where(tail.c.series_id == self._series_id).order_by(*ORDER).limit(limit)
        query = query if after is None else query.where(point_key > after)
        return [Point(*row) for row in self._connection.execute(query).all()]

    def tail_between(self, start: int, end: int) -> Columns:
        """The points of the tail whose steps lie between two, both included, in order."""
        within = (tail.c.series_id == self._series_id, tail.c.step.between(start, end))
        return columns_of(self._connection.execute(sa.select(*ORDER).where(*within).order_by(*ORDER)).all())

    def sealed_between(
        self, start: int, end: int, bucket: Callable[[int], int]
    ) -> tuple[list[tuple[int, Summary]], Columns]:
        """What is sealed between two steps, both included: summaries with their buckets, and points of several buckets.

        ``bucket`` tells the bucket of a step. The points may also lie outside of the two steps.
        """
        whole: list[tuple[int, Summary]] = []
        top = sa.select(sa.func.max(chunks.c.level)).where(chunks.c.series_id == self._series_id)
        level = self._connection.execute(top).scalar()
        if level is None:
            return whole, self._decoded([])
        query = self._nodes(level).where(chunks.c.first_step <= end).order_by(*ASCENDING)
        opened = _opened(self._connection.execute(query), start, end, bucket, whole)
        while level > 0:
            level -= 1
            below = self._nodes(level).order_by(*ASCENDING)
            stretches = [
                below.where(first_key >= first_of(nodes[0]), first_key <= _last(nodes[-1])) for nodes in opened
            ]
            # Each on its own: between two stretches lie nodes that are told whole.
            opened = [
                nodes
                for stretch in stretches
                for nodes in _opened(self._connection.execute(stretch), start, end, bucket, whole)
            ]
        return whole, self._decoded([node for nodes in opened for node in nodes])

    def by_time(self, after: Point | None, limit: int) -> Columns:
        """The points after one in the order of time, step, value, so many at most, in that order.

        Chunks are read in the order of their least times, until none that is left can hold anything earlier: as many
        as a page is long, and those whose times overlap with it.
        """
        query = sa.select(*ORDER).where(tail.c.series_id == self._series_id).order_by(*_BY_TIME).limit(limit)
        begin = sa.func.coalesce(chunks.c.least_at, -_MOST_MICROS)
        of = sa.select(chunks.c.blob_id, begin.label("begin")).where(*self._level(0)).order_by(begin)
        if after is not None:
            query = query.where(_point_by_time > (after.at, after.step, after.rank))
            of = of.where(sa.func.coalesce(chunks.c.greatest_at, _MOST_MICROS) >= after.at)
        found = columns_of(self._connection.execute(query).all())
        left = self._connection.execute(of).all()
        wanted = limit // self._sizes.chunk + 2
        while left:
            found = by_time([found, self._decoded(left[:wanted])], after)
            left, wanted = left[wanted:], 2 * wanted
            if left and np.searchsorted(found.ats, left[0].begin) >= limit:
                break
        return part_of(found, 0, limit)

    def sample(self, count: int, start: int, end: int) -> Columns:
        """The first point of each of so many stretches between two steps, both included, and the last point.

        Only chunks that one of them lies in are read, as long as no point of the tail belongs between the sealed ones.
        """
        between = sa.select(*_EXTENT).where(*self._level(0), chunks.c.last_step >= start, chunks.c.first_step <= end)
        nodes = self._connection.execute(between.order_by(*ASCENDING)).all()
        recent = self.tail_between(start, end)
        if nodes and len(recent.steps) and point_at(recent, 0) < _last(nodes[-1]):
            whole = joined([within(self._decoded(nodes), start, end), recent])
            return picked(whole, stretches(len(whole.steps), count))
        counts = np.array([*(node.count for node in nodes), len(recent.steps)], dtype=np.int64)
        skipped, sizes = np.zeros_like(counts), counts.copy()
        for number, node in enumerate(nodes):
            if node.first_step < start or node.last_step > end:  # two of them at most
                steps = self._decoded([node]).steps
                skipped[number] = np.searchsorted(steps, start)
                sizes[number] = np.searchsorted(steps, end, side="right") - skipped[number]
        ends = np.cumsum(sizes)
        places = stretches(int(ends[-1]), count)
        parts = np.searchsorted(ends, places, side="right")
        read = np.unique(np.append(parts, len(nodes)))  # the tail stands behind the chunks, whether it is asked or not
        found = joined([self._decoded([nodes[part] for part in read[:-1].tolist()]), recent])
        begins = np.zeros_like(counts)
        begins[read] = np.cumsum(counts[read]) - counts[read]
        return picked(found, places - (ends - sizes)[parts] + (skipped + begins)[parts])

    def _nodes(self, level: int) -> Any:
        return sa.select(chunks).where(*self._level(level))

    def _level(self, level: int) -> tuple[sa.ColumnElement[bool], ...]:
        return chunks.c.series_id == self._series_id, chunks.c.level == level

    def _covering(self, level: int, point: Point) -> Any:
        """The node in whose range a point falls; None where it lies before all."""
        query = self._nodes(level).where(first_key <= point).order_by(*_DESCENDING).limit(1)
        return self._connection.execute(query).first()

    def _decoded(self, nodes: Sequence[Any]) -> Columns:
        """The points of chunks, in the order of these."""
        found: dict[int, bytes] = {}
        ids = [node.blob_id for node in nodes]
        for start in range(0, len(ids), _BLOBS_AT_ONCE):
            query = sa.select(blobs.c.id, blobs.c.blob).where(blobs.c.id.in_(ids[start : start + _BLOBS_AT_ONCE]))
            found.update(map(tuple, self._connection.execute(query).all()))
        return decoded([found[id_] for id_ in ids])


def forget(connection: sa.Connection, series_ids: Sequence[int]) -> None:
    """Delete the points of some series."""
    of = chunks.c.series_id.in_(series_ids)
    connection.execute(blobs.delete().where(blobs.c.id.in_(sa.select(chunks.c.blob_id).where(of, chunks.c.level == 0))))
    connection.execute(chunks.delete().where(of))
    connection.execute(tail.delete().where(tail.c.series_id.in_(series_ids)))


def _opened(
    nodes: Iterable[Any], start: int, end: int, bucket: Callable[[int], int], whole: list[tuple[int, Summary]]
) -> list[list[Any]]:
    """Put the nodes that lie in one bucket to the others; the rest, which lie in several, in stretches."""
    stretches: list[list[Any]] = [[]]
    for node in nodes:
        first, last = node.first_step, node.last_step
        if first >= start and last <= end and bucket(first) == bucket(last):
            whole.append((bucket(first), _summary(node)))
        elif last >= start and first <= end:
            stretches[-1].append(node)
            continue
        stretches.append([])
    return [stretch for stretch in stretches if stretch]


def summed_up(nodes: Iterable[Any]) -> Summary:
    """The summary of several nodes."""
    return reduce(combined, map(_summary, nodes))


def _later(columns: Columns, after: Point) -> Columns:
    steps, ats, ranks = columns
    same_step, same_at = steps == after.step, ats == after.at
    later = (steps > after.step) | (same_step & ((ats > after.at) | (same_at & (ranks > after.rank))))
    return columns if later.all() else Columns(*(column[later] for column in columns))


def node_row(series_id: int, level: int, told: Summary) -> dict[str, Any]:
    """A node as it is written, without what it holds."""
    least, greatest = told.least, told.greatest
    return {
        "series_id": series_id,
        "level": level,
        "first_step": told.first.step,
        "first_at": told.first.at,
        "first_rank": told.first.rank,
        "last_step": told.last.step,
        "last_at": told.last.at,
        "last_rank": told.last.rank,
        "count": told.count,
        "nan_count": told.nan_count,
        "least_rank": None if least is None else least.rank,
        "least_step": None if least is None else least.step,
        "greatest_rank": None if greatest is None else greatest.rank,
        "greatest_step": None if greatest is None else greatest.step,
    }


def _summary(row: Any) -> Summary:
    return Summary(
        count=row.count,
        nan_count=row.nan_count,
        first=first_of(row),
        last=_last(row),
        least=None if row.least_rank is None else Extreme(row.least_rank, row.least_step),
        greatest=None if row.greatest_rank is None else Extreme(row.greatest_rank, row.greatest_step),
    )


def first_of(row: Any) -> Point:
    """The first point of a node."""
    return Point(row.first_step, row.first_at, row.first_rank)


def _last(row: Any) -> Point:
    return Point(row.last_step, row.last_at, row.last_rank)
