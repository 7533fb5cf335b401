"""The tables of metrics: a series a metric of a run, and its points."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from tidegate.kernel.clock import to_micros
from tidegate.runs.records import Metric
from tidegate.runs.series.points import Extreme, Point, Summary, combined, is_nan, rank_of, summary_of, value_of
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import AutoKey, Micros, table

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
    sa.UniqueConstraint("run_id", "name"),
    sa.Index("ix_run_series_name_last_value", "name", "last_value", "run_id"),
    room="runs",
)


class SqlSeries:
    """Metrics in the catalog. See `RunStore` for the laws."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add(self, run_id: str, metrics: Iterable[Metric]) -> None:
        """Keep measurements."""
        points = _by_name(metrics)
        names = sorted(points)
        if not names:
            return
        with self._catalog.connect() as connection:
            known = self._held(connection, run_id, names)
            changed = []
            fresh = []
            for name in names:
                told, row = summary_of(points[name]), known.get(name)
                if row is None:
                    fresh.append({"run_id": run_id, "name": name, **_columns(told)})
                else:
                    changed.append({"series": row.id, **_columns(combined(_summary(row), told))})
            if fresh:
                connection.execute(series.insert(), fresh)
            if changed:
                connection.execute(series.update().where(series.c.id == sa.bindparam("series")), changed)

    def _held(self, connection: sa.Connection, run_id: str, names: Sequence[str]) -> dict[str, Any]:
        query = sa.select(series).where(series.c.run_id == run_id, series.c.name.in_(names))
        return {row.name: row for row in connection.execute(query.order_by(series.c.name).with_for_update())}


def value_kept(stored: float | None) -> float:
    """A value as it was given."""
    return value_of(_rank(stored))


def _by_name(metrics: Iterable[Metric]) -> dict[str, set[Point]]:
    points: dict[str, set[Point]] = defaultdict(set)
    for metric in metrics:
        at = to_micros(metric.at) if metric.at is not None else 0
        points[metric.name].add(Point(metric.step, at, rank_of(metric.value)))
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
        last=Point(row.last_step, row.last_at, _rank(row.last_value)),
        least=None if row.least_step is None else Extreme(rank_of(row.least_value), row.least_step),
        greatest=None if row.greatest_step is None else Extreme(rank_of(row.greatest_value), row.greatest_step),
    )


def _stored(rank: int) -> float | None:
    return None if is_nan(rank) else value_of(rank)


def _rank(stored: float | None) -> int:
    return rank_of(float("nan") if stored is None else stored)
