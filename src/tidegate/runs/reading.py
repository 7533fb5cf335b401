"""Runs, looked at: one, many, what is searched for, and what was measured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import NotFound
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.runs.records import Chart, Measurements, Metric, Run
from tidegate.runs.rules import MOST_BUCKETS, MOST_MEASUREMENTS, check_chart, check_steps
from tidegate.runs.search.order import TIE_BREAK, parse_order
from tidegate.runs.search.paging import RunSearch, Search, State, read_page
from tidegate.runs.search.parser import parse_filter
from tidegate.runs.search.projection import parse_projection
from tidegate.runs.series.points import Point, rank_of

if TYPE_CHECKING:
    from tidegate.runs.experiments import Experiments


class RunRows(Protocol):
    """What is read of the catalog's rows of runs; `RunStore` has the laws."""

    def get(self, run_id: str) -> Run | None:
        """A run with all that belongs to it."""
        ...

    def select(self, experiment: str, status: str, before: str, limit: int, *, parent: str = "") -> list[Run]:
        """Runs with ids below one, greatest first; empty texts choose everything. ``experiment`` is an id."""
        ...

    def history(self, run_id: str, name: str, after: tuple[str, Point] | None, limit: int) -> list[Metric]:
        """Measurements after a position, in the order of name, step, time, value."""
        ...

    def measurements(self, run_id: str, name: str, after: Point | None, limit: int) -> Measurements:
        """Measurements of a metric after one, in the order of time, step, value."""
        ...

    def sample(self, run_id: str, name: str, points: int, start: int | None, end: int | None) -> Measurements:
        """The first of each of so many stretches of as many measurements, and the last, in the order of steps."""
        ...

    def chart(
        self, run_id: str, names: Sequence[str], points: int, start: int | None, end: int | None
    ) -> tuple[Chart, ...]:
        """A chart of each name over the same steps."""
        ...


class RunReading(Service):
    """The half of `Runs` that changes nothing."""

    room: ClassVar[str] = "runs"
    _experiments: "Experiments"
    _rows: RunRows
    _searches: RunSearch

    @operation("GET /runs/{run_id}", role="viewer", audit="none")
    def get(self, run_id: str) -> Run:
        """One run, with the latest value of each metric."""
        found = self._rows.get(run_id)
        if found is None:
            raise NotFound(f"there is no run {run_id!r}; runs.list shows what there is", run_id=run_id)
        return found

    @operation("GET /runs/{run_id}/metrics", role="viewer", audit="none")
    def history(self, run_id: str, *, name: str = "", limit: int = 100, cursor: str = "") -> Page[Metric]:
        """Every measurement of a run, or of one metric of it, in the order of name, step, time, value.

        ``limit`` is 25,000 at most.
        """
        key = decode_cursor(cursor, (str, int, int, int))
        after = (key[0], Point(*key[1:])) if key else None
        found = self._rows.history(run_id, name, after, page_size(limit, MOST_MEASUREMENTS) + 1)
        if not found:
            self.get(run_id)
        more = encode_cursor(*_position(found[limit - 1])) if len(found) > limit else None
        return Page(found[:limit], more)

    @operation("GET /runs/{run_id}/measurements", role="viewer", audit="none")
    def measurements(self, run_id: str, name: str, *, limit: int = 25_000, cursor: str = "") -> Measurements:
        """Every measurement of one metric, by columns, in the order of time, step, value.

        ``limit`` is 25,000 at most.
        """
        key = decode_cursor(cursor, (int, int, int))
        found = self._rows.measurements(
            run_id, name, Point(*key) if key else None, page_size(limit, MOST_MEASUREMENTS) + 1
        )
        if not found.steps:
            self.get(run_id)
        if len(found.steps) <= limit:
            return found
        steps, micros, values = found.steps[:limit], found.micros[:limit], found.values[:limit]
        more = encode_cursor(steps[-1], micros[-1], rank_of(values[-1]))
        return Measurements(name=name, steps=steps, micros=micros, values=values, next=more)

    @operation("GET /runs/{run_id}/sample", role="viewer", audit="none")
    def sample(
        self, run_id: str, name: str, *, points: int = 320, start_step: int | None = None, end_step: int | None = None
    ) -> Measurements:
        """At most ``points`` (1 to 5,000) of the measurements of a metric, the last among them, in the order of steps.

        They are those that begin stretches of as many measurements each. Where ``chart`` cuts the steps into equal
        parts and tells least and greatest of each, this shows whole measurements as they were logged.
        """
        check_steps(points, MOST_BUCKETS, start_step, end_step)
        found = self._rows.sample(run_id, name, points, start_step, end_step)
        if not found.steps:
            self.get(run_id)
        return found

    @operation("GET /runs/{run_id}/chart", role="viewer", audit="none")
    def chart(
        self,
        run_id: str,
        names: tuple[str, ...],
        *,
        points: int = 320,
        start_step: int | None = None,
        end_step: int | None = None,
    ) -> tuple[Chart, ...]:
        """Metrics of a run over their steps, in at most ``points`` buckets (1 to 5,000) of one width; all on one grid.

        Each bucket tells first, last, least and greatest exactly; the cost is that of the buckets, not of the
        history. The steps begin and end where the metrics do, unless they are given (both are included). A name that
        was never measured has no buckets.
        """
        check_chart(names, points, start_step, end_step)
        charts = self._rows.chart(run_id, names, points, start_step, end_step)
        if not any(chart.buckets for chart in charts):
            self.get(run_id)
        return charts

    @operation("GET /runs", role="viewer", audit="none")
    def list(
        self,
        *,
        experiment: str = "",
        status: Literal["", "running", "scheduled", "finished", "failed", "killed"] = "",
        parent: str = "",
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Run]:
        """Runs, the newest first; of one experiment (its id or name), of one parent, in one status, where given."""
        key = decode_cursor(cursor, (str,))
        group = self._experiments.get(experiment).id if experiment else ""
        found = self._rows.select(group, status, key[0] if key else "", page_size(limit) + 1, parent=parent)
        more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
        return Page(found[:limit], more)

    @operation("POST /runs/search", role="viewer", audit="none", transaction=False)
    def search(
        self,
        filter: str = "",
        *,
        experiments: tuple[str, ...] = (),
        state: State = "active",
        order_by: tuple[str, ...] = (),
        fields: tuple[str, ...] = (),
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Run]:
        """Runs by what they hold, of some experiments or all.

        ``filter`` reads such as ``metrics.auc > 0.8 AND NOT params.depth < 3``. ``experiments`` are ids or names.
        ``order_by`` holds keys such as ``metrics.max(auc) DESC``; then come the newest first. ``fields`` names the
        parts to read (``params``, ``metrics.auc``, ``tags.mlflow.*``, ``inputs``, ``artifacts``, ``code``,
        ``environment``, or only ``attributes``); without any, all. ``limit`` is 50,000 at most.
        """
        order = (*parse_order(order_by), *TIE_BREAK)
        search = Search(parse_filter(filter), self._experiment_ids(experiments), state, order)
        return read_page(self._searches, search, parse_projection(fields), limit, cursor)

    @operation("POST /runs/count", role="viewer", audit="none", transaction=False)
    def count(self, filter: str = "", *, experiments: tuple[str, ...] = (), state: State = "active") -> int:
        """How many runs there are of which the filter is true, of some experiments or all."""
        return self._searches.count(Search(parse_filter(filter), self._experiment_ids(experiments), state))

    def _experiment_ids(self, experiments: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._experiments.get(one).id for one in experiments)


def _position(metric: Metric) -> tuple[str, int, int, int]:
    at = 0 if metric.at is None else to_micros(metric.at)
    return metric.name, metric.step, at, rank_of(metric.value)
