"""How the points of a tail become chunks, under a pyramid of summaries. See `chunk_store` for the laws."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from tidegate.runs.chunk_store import (
    ASCENDING,
    ORDER,
    Sizes,
    blobs,
    chunks,
    first_key,
    first_of,
    node_row,
    point_key,
    summed_up,
    tail,
)
from tidegate.runs.series.chunks import Columns, columns_of, decoded, encoded, joined, part_of, summary_of_columns
from tidegate.runs.series.points import Point
from tidegate.storage.catalog import Catalog


class Sealer:
    """Seals tails, inside the transaction of a write. A busy home does so by the thousand."""

    def __init__(self, catalog: Catalog, sizes: Sizes) -> None:
        self._sizes = sizes
        of, point, end = (
            sa.bindparam("series", type_=sa.BigInteger),
            _place("step", "at", "rank"),
            _place("end_step", "end_at", "end_rank"),
        )
        level = sa.and_(chunks.c.series_id == of, chunks.c.level == sa.bindparam("height"))
        from_, to = first_key >= point, first_key < end
        nodes = sa.select(chunks).where(level)
        ordered = nodes.order_by(*ASCENDING)
        descending = nodes.order_by(*(column.desc() for column in ASCENDING))
        least = sa.select(*ORDER).where(tail.c.series_id == of).order_by(*ORDER)
        self._least = catalog.query(least.limit(sizes.chunk))
        self._take = catalog.prepared(tail.delete().where(tail.c.series_id == of, point_key <= point))
        self._all = catalog.query(ordered)
        self._first = catalog.query(ordered.limit(1))
        self._before = catalog.query(descending.where(first_key <= point).limit(1))
        self._after = catalog.query(ordered.where(first_key > point).limit(1))
        self._from = catalog.query(ordered.where(from_))
        self._between = catalog.query(ordered.where(from_, to))
        self._drop_from = catalog.prepared(chunks.delete().where(level, from_))
        self._drop_between = catalog.prepared(chunks.delete().where(level, from_, to))
        self._drop = catalog.prepared(chunks.delete().where(level, first_key == point))
        self._add = catalog.prepared(chunks.insert())
        self._blob = catalog.query(sa.select(blobs.c.blob).where(blobs.c.id == sa.bindparam("which")))
        self._drop_blob = catalog.prepared(blobs.delete().where(blobs.c.id == sa.bindparam("which")))
        self._add_blob = catalog.returning(blobs.insert().returning(blobs.c.id))

    def seal(self, series: int, sealed: Point | None) -> tuple[int, Point]:
        """Move up to `Sizes.chunk` points, the least of the tail, into chunks.

        ``sealed`` is the greatest sealed point. Returns how many were moved, and the greatest now.
        """
        points = self._least(series=series)
        old = None
        if sealed is not None and points[0] < sealed:
            old = self._covering(series, 0, points[0]) or self._lowest(series, 0)
            following = self._following(series, 0, first_of(old))
            points = [point for point in points if following is None or point < first_of(following)]
        columns = columns_of(points)
        if old is not None:
            columns = joined([decoded([self._blob(which=old.blob_id)[0].blob]), columns])
        size = len(columns.steps)
        pieces = -(-size // self._sizes.most)
        ends = [size * piece // pieces for piece in range(pieces + 1)]
        last = Point(*points[-1])
        self._take.soon(series=series, **last._asdict())
        parts = [part_of(columns, start, end) for start, end in pairwise(ends)]
        self._replace(series, old, parts)
        return len(points), last if sealed is None else max(sealed, last)

    def _replace(self, series: int, old: Any, parts: Sequence[Columns]) -> None:
        """Put chunks in the place of one, or after all others, and mend the levels above."""
        if old is not None:
            self._drop_blob.soon(which=old.blob_id)
            self._drop.soon(series=series, height=0, **first_of(old)._asdict())
        rows = []
        for part in parts:
            told = node_row(series, 0, summary_of_columns(part))
            times = {"least_at": int(part.ats.min()), "greatest_at": int(part.ats.max())}
            rows.append({**told, **times, "blob_id": self._add_blob(blob=encoded(part))[0].id})
        self._add.defer(rows)
        firsts = [Point(row["first_step"], row["first_at"], row["first_rank"]) for row in rows]
        changed: tuple[Point, Point] | None = (firsts[0] if old is None else min(firsts[0], first_of(old)), firsts[-1])
        for level in range(1, self._sizes.top + 1):
            if changed is not None:
                changed = self._mend(series, level, *changed)

    def _mend(self, series: int, level: int, low: Point, high: Point) -> tuple[Point, Point] | None:
        """Sum up again what changed between two nodes of the level below; the first and last node that this made."""
        cover = self._covering(series, level, low) or self._lowest(series, level)
        if cover is None:
            children = self._all(series=series, height=level - 1)
            if len(children) <= self._sizes.fan:
                return None
        else:
            begin = min(low, first_of(cover))._asdict()
            following = self._following(series, level, max(high, first_of(cover)))
            if following is None:
                children = self._from(series=series, height=level - 1, **begin)
                self._drop_from.soon(series=series, height=level, **begin)
            else:
                end = {f"end_{name}": part for name, part in first_of(following)._asdict().items()}
                children = self._between(series=series, height=level - 1, **begin, **end)
                self._drop_between.soon(series=series, height=level, **begin, **end)
        fan = self._sizes.fan
        made = [summed_up(children[start : start + fan]) for start in range(0, len(children), fan)]
        none = {"blob_id": None, "least_at": None, "greatest_at": None}
        self._add.defer([{**node_row(series, level, told), **none} for told in made])
        return made[0].first, made[-1].first

    def _covering(self, series: int, level: int, point: Point) -> Any:
        """The node in whose range a point falls; None where it lies before all."""
        return next(iter(self._before(series=series, height=level, **point._asdict())), None)

    def _lowest(self, series: int, level: int) -> Any:
        return next(iter(self._first(series=series, height=level)), None)

    def _following(self, series: int, level: int, point: Point) -> Any:
        return next(iter(self._after(series=series, height=level, **point._asdict())), None)


def _place(*names: str) -> sa.Tuple:
    """A point among a statement's parameters."""
    return sa.tuple_(*(sa.bindparam(name, type_=sa.BigInteger) for name in names))
