"""The tables of metrics: a series a metric of a run, and its points."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from math import nan
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.runs.chunk_store import SeriesPoints, Sizes, forget, tail
from tidegate.runs.records import Bucket, Chart, Measurements, Metric
from tidegate.runs.rules import MOST_STEPS
from tidegate.runs.seal_store import Sealer
from tidegate.runs.series.charts import buckets
from tidegate.runs.series.chunks import Columns, columns_of, joined, part_of, values_of
from tidegate.runs.series.grids import Grid, grid_of
from tidegate.runs.series.points import (
    NAN_RANK,
    Extreme,
    Point,
    Summary,
    combined,
    rank_of,
    ranks_of,
    summary_of,
    value_of,
)
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import AutoKey, Micros, table
from tidegate.storage.text import among

series = table(
    "run_series",
    sa.Column("id", AutoKey, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("name", sa.String(250), nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("nan_count", sa.BigInteger, nullable=False),
    sa.Column("first_step", sa.BigInteger, nullable=False),
    sa.Column("first_at", Micros, nullable=False),
    sa.Column("first_value", sa.Double, nullable=True),  # null stands for NaN, which SQLite cannot hold
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("last_at", Micros, nullable=False),
    sa.Column("last_value", sa.Double, nullable=True),
    sa.Column("least_step", sa.BigInteger, nullable=True),
    sa.Column("least_value", sa.Double, nullable=True),  # null where every value is NaN
    sa.Column("greatest_step", sa.BigInteger, nullable=True),
    sa.Column("greatest_value", sa.Double, nullable=True),
    sa.Column("tail_count", sa.BigInteger, nullable=False),
    sa.Column("sealed_step", sa.BigInteger, nullable=True),  # the greatest point that lies in a chunk
    sa.Column("sealed_at", Micros, nullable=True),
    sa.Column("sealed_rank", sa.BigInteger, nullable=True),
    sa.UniqueConstraint("run_id", "name"),
    sa.Index("ix_run_series_name_last_value", "name", "last_value", "run_id"),
    room="runs",
)


Position = tuple[str, Point]
"""A name, and a point of its series."""

_SUMMED_UP: Final = ("count", "nan_count", "tail_count", "first_", "last_", "least_", "greatest_")
_GROWING: Final = [column.name for column in series.c if column.name.startswith(_SUMMED_UP)]
_GROW = (
    series.update().where(series.c.id == sa.bindparam("series")).values({name: sa.bindparam(name) for name in _GROWING})
)
_SHORTEN = (
    series.update()
    .where(series.c.id == sa.bindparam("series"))
    .values(
        tail_count=sa.bindparam("left"),
        sealed_step=sa.bindparam("step"),
        sealed_at=sa.bindparam("at"),
        sealed_rank=sa.bindparam("rank"),
    )
)


class SqlSeries:
    """Metrics in the catalog.

    Laws:

    1. The same point of a series (step, time, value) sent again is one point, however long ago it was sealed.
    2. Every point is kept exactly, NaN and infinities too, and read once, in the order of step, time, value.
    3. The row of a series sums up its points, in whatever order they arrive.
    4. A chart tells of each bucket of steps what the whole history tells, and reads chunks only at its edges.
    5. A write seals `Sizes.pieces` chunks at most, or as many as keep up with its own points.
    6. A sample holds the first point of each of so many stretches of as many points, and in the last one's place the
       last of all.
    7. A page in the order of time reads the chunks that its times overlap with, and some more at most, wherever in the
       series it begins.

    Writers of one series take turns: `add` holds the rows of its series until the transaction ends.
    """

    def __init__(self, catalog: Catalog, sizes: Sizes = Sizes()) -> None:  # noqa: B008 - frozen
        self._catalog = catalog
        self._sizes = sizes
        # Most calls tell of one point: that path goes straight to the driver.
        one = sa.select(series).where(series.c.run_id == sa.bindparam("run_id"), series.c.name == sa.bindparam("name"))
        self._one_series = catalog.query(one.with_for_update())
        own = sa.and_(series.c.run_id == sa.bindparam("run_id"), among(series.c.name, named="names"))
        several = sa.select(series).where(own).order_by(series.c.name)
        self._several_series = catalog.query(several.with_for_update())
        self._append_each = catalog.prepared(catalog.insert(tail).on_conflict_do_nothing())
        self._grow = catalog.prepared(_GROW)
        self._shorten = catalog.prepared(_SHORTEN)
        self._sealer = Sealer(catalog, sizes)

    def add(self, run_id: str, metrics: Iterable[Metric]) -> None:
        """Keep measurements of a run that is held."""
        told = _by_name(metrics)
        if not told:
            return
        with self._catalog.connect() as connection:
            held = self._held(run_id, sorted(told))
            fresh = [_fresh(run_id, name, points) for name, points in sorted(told.items()) if name not in held]
            ids = {name: row.id for name, row in held.items()} | _begun(connection, fresh)
            for name, row in held.items():
                told[name] -= self._sealed(connection, row, told[name])
            ends = {row.id: _last(row) for row in held.values()}
            added = self._append(connection, {ids[name]: sorted(points) for name, points in told.items()}, ends)
            grown = [_grown(row, added[row.id]) for row in held.values() if row.id in added]
            self._grow.defer(grown)
            sealed = {row.id: _greatest_sealed(row) for row in held.values()}
            tails = [_Tail(row["series"], row["tail_count"], sealed[row["series"]]) for row in grown]
            tails += [_Tail(ids[row["name"]], row["tail_count"], None) for row in fresh]
            long = [one for one in tails if one.length >= self._sizes.most]
            if long:
                pieces = 2 * sum(map(len, added.values())) // self._sizes.chunk
                self._seal(long, max(self._sizes.pieces, pieces), self._sizes.most)

    def settle(self, run_id: str) -> None:
        """Seal what is left of a run that ends, as far as it is worth a chunk and one write may take."""
        query = sa.select(series).where(series.c.run_id == run_id, series.c.tail_count >= self._sizes.worth)
        with self._catalog.connect() as connection:
            rows = connection.execute(query.order_by(series.c.id).limit(self._sizes.pieces)).all()
        tails = [_Tail(row.id, row.tail_count, _greatest_sealed(row)) for row in rows]
        self._seal(tails, self._sizes.pieces, self._sizes.worth)

    def history(self, run_id: str, name: str, after: Position | None, limit: int) -> list[Metric]:
        """Points after a position, in the order of name, step, time, value."""
        query = sa.select(series.c.id, series.c.name, series.c.sealed_step).where(series.c.run_id == run_id)
        if name:
            query = query.where(series.c.name == name)
        if after is not None:
            query = query.where(series.c.name >= after[0])
        found: list[Metric] = []
        with self._catalog.connect() as connection:
            for row in connection.execute(query.order_by(series.c.name)).all():
                begun = after[1] if after is not None and after[0] == row.name else None
                found += self._page(connection, row, begun, limit - len(found))
                if len(found) >= limit:
                    break
        return found

    def measurements(self, run_id: str, name: str, after: Point | None, limit: int) -> Measurements:
        """Points of a metric after one, in the order of time, step, value."""
        return self._measured(run_id, name, lambda points: points.by_time(after, limit))

    def sample(self, run_id: str, name: str, points: int, start: int | None, end: int | None) -> Measurements:
        """The first point of each of so many stretches, and the last point, in the order of steps."""
        low, high = -MOST_STEPS if start is None else start, MOST_STEPS if end is None else end
        return self._measured(run_id, name, lambda of: of.sample(points, low, high))

    def chart(
        self, run_id: str, names: Sequence[str], points: int, start: int | None, end: int | None
    ) -> tuple[Chart, ...]:
        """A chart of each name, all over the same steps; of a name that was not measured, an empty one."""
        query = sa.select(series).where(series.c.run_id == run_id, series.c.name.in_(names))
        with self._catalog.connect() as connection:
            rows = {row.name: row for row in connection.execute(query)}
            grid = grid_of([(row.first_step, row.last_step) for row in rows.values()], points, start, end)
            return tuple(
                Chart(name=name, buckets=self._buckets(connection, rows[name], grid) if name in rows else ())
                for name in names
            )

    def forget(self, run_ids: Sequence[str]) -> None:
        """Delete the metrics of some runs."""
        of = series.c.run_id.in_(run_ids)
        with self._catalog.connect() as connection:
            ids = connection.execute(sa.select(series.c.id).where(of)).scalars().all()
            forget(connection, ids)
            connection.execute(series.delete().where(of))

    def _held(self, run_id: str, names: Sequence[str]) -> dict[str, Any]:
        if len(names) == 1:
            return {row.name: row for row in self._one_series(run_id=run_id, name=names[0])}
        return {row.name: row for row in self._several_series(run_id=run_id, names=names)}

    def _append(
        self, connection: sa.Connection, points: Mapping[int, Sequence[Point]], ends: Mapping[int, Point]
    ) -> dict[int, list[Point]]:
        """Put points, in order, into the tails of series that are held, and tell which were not there.

        ``ends`` are the last points of those that have any: what comes after, as most do, is new.
        """
        begin = {id_: bisect_right(several, ends[id_]) if id_ in ends else 0 for id_, several in points.items()}
        late = [(id_, one) for id_, several in points.items() for one in several[: begin[id_]]]
        fresh = {id_: list(several[begin[id_] :]) for id_, several in points.items() if begin[id_] < len(several)}
        added: dict[int, list[Point]] = defaultdict(list)
        if len(late) == 1:
            [(id_, one)] = late
            if self._append_each(**_tail_row(id_, one)):
                added[id_] = [one]
        else:
            known = self._in_tails(connection, late)
            for id_, one in late:
                if (id_, one) not in known:
                    added[id_].append(one)
            self._put(added)
        self._put(fresh)
        for id_, several in fresh.items():
            added[id_] += several
        return added

    def _put(self, points: Mapping[int, Sequence[Point]]) -> None:
        """Put points that are in no tail into theirs."""
        if points:
            ids = [id_ for id_, several in points.items() for _ in several]
            steps, ats, ranks = zip(*chain.from_iterable(points.values()), strict=True)
            self._append_each.defer_columns({"series_id": ids, "step": steps, "at": ats, "rank": ranks})

    def _in_tails(self, connection: sa.Connection, points: Collection[tuple[int, Point]]) -> set[tuple[int, Point]]:
        """Those of some points that lie in the tails of their series."""
        if not points:
            return set()
        steps, ats = [point.step for _, point in points], [point.at for _, point in points]
        query = sa.select(tail).where(
            tail.c.series_id.in_({id_ for id_, _ in points}),
            tail.c.step.between(min(steps), max(steps)),
            tail.c.at.between(min(ats), max(ats)),
        )
        return {(id_, Point(*known)) for id_, *known in connection.execute(query)}

    def _sealed(self, connection: sa.Connection, row: Any, points: set[Point]) -> set[Point]:
        """Those of some points that lie in chunks already."""
        greatest = _greatest_sealed(row)
        late = [] if greatest is None else [point for point in points if point <= greatest]
        return self._points(connection, row).sealed_of(late) if late else set()

    def _seal(self, tails: Iterable["_Tail"], pieces: int, down_to: int) -> None:
        """Seal pieces of tails, as long as they are so long and the number of pieces is not used up."""
        for of in sorted(tails):
            left, greatest = of.length, of.sealed
            while left >= down_to and pieces > 0:
                moved, greatest = self._sealer.seal(of.series, greatest)
                left -= moved
                pieces -= 1
            if greatest is not None and left < of.length:
                self._shorten.soon(series=of.series, left=left, **greatest._asdict())

    def _page(self, connection: sa.Connection, row: Any, after: Point | None, limit: int) -> list[Metric]:
        points = self._points(connection, row)
        recent = points.tail_after(after, limit)
        if row.sealed_step is None:
            return [_metric(row.name, *point) for point in recent]
        return _metrics(row.name, part_of(joined([*points.sealed_after(after, limit), columns_of(recent)]), 0, limit))

    def _measured(self, run_id: str, name: str, read: Callable[[SeriesPoints], Columns]) -> Measurements:
        query = sa.select(series.c.id).where(series.c.run_id == run_id, series.c.name == name)
        with self._catalog.connect() as connection:
            row = connection.execute(query).first()
            if row is None:
                return Measurements(name=name)
            steps, ats, ranks = read(self._points(connection, row))
        return Measurements(
            name=name, steps=tuple(steps.tolist()), micros=tuple(ats.tolist()), values=tuple(values_of(ranks))
        )

    def _buckets(self, connection: sa.Connection, row: Any, grid: Grid) -> tuple[Bucket, ...]:
        points = self._points(connection, row)
        whole, sealed = points.sealed_between(grid.start, grid.end, grid.place)
        return buckets(grid, whole, [sealed, points.tail_between(grid.start, grid.end)])

    def _points(self, connection: sa.Connection, row: Any) -> SeriesPoints:
        return SeriesPoints(connection, row.id, self._sizes)


class _Tail(NamedTuple):
    """The tail of a series that is held: how long it is, and the greatest point that is sealed."""

    series: int
    length: int
    sealed: Point | None


def _fresh(run_id: str, name: str, points: set[Point]) -> dict[str, Any]:
    return {"run_id": run_id, "name": name, "tail_count": len(points), **_columns(summary_of(points))}


def _begun(connection: sa.Connection, rows: list[dict[str, Any]]) -> dict[str, int]:
    if not rows:
        return {}
    return {row.name: row.id for row in connection.execute(series.insert().returning(series.c.id, series.c.name), rows)}


def _grown(row: Any, points: Sequence[Point]) -> dict[str, Any]:
    told = combined(_summary(row), summary_of(points))
    return {"series": row.id, "tail_count": row.tail_count + len(points), **_columns(told)}


def _metrics(name: str, columns: Columns) -> list[Metric]:
    return [
        Metric(name=name, value=value, step=step, at=from_micros(at))
        for step, at, value in zip(columns.steps.tolist(), columns.ats.tolist(), values_of(columns.ranks), strict=True)
    ]


def _metric(name: str, step: int, at: int, rank: int) -> Metric:
    return Metric(name=name, value=value_of(rank), step=step, at=from_micros(at))


def _tail_row(series_id: int, point: Point) -> dict[str, int]:
    return {"series_id": series_id, "step": point.step, "at": point.at, "rank": point.rank}


def _last(row: Any) -> Point:
    return Point(row.last_step, row.last_at, _rank(row.last_value))


def _greatest_sealed(row: Any) -> Point | None:
    return None if row.sealed_step is None else Point(row.sealed_step, row.sealed_at, row.sealed_rank)


def value_kept(stored: float | None) -> float:
    """A value as it was given."""
    return nan if stored is None else stored


def _by_name(metrics: Iterable[Metric]) -> dict[str, set[Point]]:
    told = list(metrics)
    ranks = ranks_of([metric.value for metric in told])
    points: dict[str, set[Point]] = defaultdict(set)
    moment, at = None, 0
    for metric, rank in zip(told, ranks, strict=True):
        if metric.at is not moment:  # those of a batch have few moments
            moment, at = metric.at, 0 if metric.at is None else to_micros(metric.at)
        points[metric.name].add(Point(metric.step, at, rank))
    return points


def _columns(summary: Summary) -> dict[str, Any]:
    least, greatest = summary.least, summary.greatest
    return {
        "count": summary.count,
        "nan_count": summary.nan_count,
        "first_step": summary.first.step,
        "first_at": summary.first.at,
        "first_value": _stored(summary.first.rank),
        "last_step": summary.last.step,
        "last_at": summary.last.at,
        "last_value": _stored(summary.last.rank),
        "least_step": None if least is None else least.step,
        "least_value": None if least is None else value_of(least.rank),
        "greatest_step": None if greatest is None else greatest.step,
        "greatest_value": None if greatest is None else value_of(greatest.rank),
    }


def _summary(row: Any) -> Summary:
    return Summary(
        count=row.count,
        nan_count=row.nan_count,
        first=Point(row.first_step, row.first_at, _rank(row.first_value)),
        last=_last(row),
        least=None if row.least_step is None else Extreme(rank_of(row.least_value), row.least_step),
        greatest=None if row.greatest_step is None else Extreme(rank_of(row.greatest_value), row.greatest_step),
    )


def _stored(rank: int) -> float | None:
    return None if rank == NAN_RANK else value_of(rank)


def _rank(stored: float | None) -> int:
    return NAN_RANK if stored is None else rank_of(stored)
