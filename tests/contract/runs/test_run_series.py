"""The history of metrics: each point once and exactly, in order, and charts that tell what the whole history tells."""

import math
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.postgres import catalog_on
from tidegate.kernel.clock import from_micros
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.runs.chunk_store import Sizes, blobs, chunks, tail
from tidegate.runs.records import Bucket, Metric
from tidegate.runs.series.points import Point, rank_of, summary_of, value_of
from tidegate.runs.series_store import SqlSeries, series
from tidegate.storage.catalog import Catalog, open_catalog
from tidegate.workspace import Workspace

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home

SMALL = Sizes(chunk=4, most=6, fan=2, top=2, pieces=2, worth=2)
RUN = "0" * 32
START = from_micros(1_700_000_000_000_000)

values = st.sampled_from([0.0, -0.0, 1.0, -1.5, math.nan, math.inf, -math.inf, 5e-324, 0.1])
steps = st.one_of(st.integers(-20, 20), st.sampled_from([-(2**63) + 1, 2**63 - 1]))
quick = settings(  # shrinking takes minutes where each example is many transactions
    deadline=None,
    phases=[phase for phase in Phase if phase is not Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
arriving = st.builds(
    lambda step, at, value: Metric(name="loss", value=value, step=step, at=from_micros(at)),
    steps,
    st.integers(-1, 2),
    values,
)
batches = st.lists(st.lists(arriving, min_size=1, max_size=16), min_size=1, max_size=10)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    catalog = open_catalog(catalog_on(request.param, request), tmp_path_factory.mktemp("series"))
    yield catalog
    catalog.close()


def kept(catalog: Catalog, told: Sequence[Sequence[Metric]], sizes: Sizes = SMALL) -> SqlSeries:
    """A store with a series that was told in batches, each in a transaction of its own."""
    store = SqlSeries(catalog, sizes)
    catalog.write(lambda: store.forget([RUN]), durable=False)
    for batch in told:
        catalog.write(partial(store.add, RUN, batch), durable=False)
    return store


def point(metric: Metric) -> Point:
    assert metric.at is not None
    return Point(metric.step, (metric.at - from_micros(0)) // timedelta(microseconds=1), rank_of(metric.value))


def expected(told: Sequence[Sequence[Metric]]) -> list[Point]:
    return sorted({point(metric) for batch in told for metric in batch})


@given(batches, st.booleans(), st.integers(1, 30))
@settings(quick, max_examples=30)
def test_law_1_and_2_and_3_every_point_once_in_order_and_summed_up(
    catalog: Catalog, told: list[list[Metric]], again: bool, limit: int
) -> None:
    store = kept(catalog, [*told, *told[::-1]] if again else told)
    known = expected(told)
    found: list[Metric] = []
    while page := store.history(RUN, "loss", ("loss", point(found[-1])) if found else None, limit):
        found += page
    assert [point(metric) for metric in found] == known
    with catalog.connect() as connection:
        row = connection.execute(sa.select(series).where(series.c.run_id == RUN)).one()
        assert row.tail_count == connection.execute(sa.select(sa.func.count()).select_from(tail)).scalar_one()
    summary = summary_of(known)
    assert (row._mapping["count"], row.nan_count) == (summary.count, summary.nan_count)
    assert (row.first_step, row.first_at) == summary.first[:2]
    assert (row.last_step, row.last_at) == summary.last[:2]
    assert row.last_value == (None if math.isnan(value_of(summary.last.rank)) else value_of(summary.last.rank))
    for name, extreme in (("least", summary.least), ("greatest", summary.greatest)):
        told_of = None if extreme is None else (value_of(extreme.rank), extreme.step)
        shown = (row._mapping[f"{name}_value"], row._mapping[f"{name}_step"])
        assert shown == (told_of or (None, None))


@given(batches, st.integers(1, 30))
@settings(quick, max_examples=15)
def test_law_2_by_time_every_point_comes_once_too(catalog: Catalog, told: list[list[Metric]], limit: int) -> None:
    store = kept(catalog, told)
    found: list[Metric] = []
    while page := store.history_by_time(RUN, "loss", ("loss", point(found[-1])) if found else None, limit):
        found += page
    known = sorted(expected(told), key=lambda one: (one.at, one.step, one.rank))
    assert [point(metric) for metric in found] == known


@given(batches, st.integers(1, 40), st.one_of(st.none(), st.integers(-25, 25)), st.one_of(st.none(), steps))
@settings(quick, max_examples=40)
def test_law_6_a_sample_begins_stretches_of_one_length_and_ends_with_the_last(
    catalog: Catalog, told: list[list[Metric]], most: int, start: int | None, end: int | None
) -> None:
    store = kept(catalog, told)
    known = [one for one in expected(told) if (start is None or one.step >= start) and (end is None or one.step <= end)]
    count = min(most, len(known))
    lengths = [len(known) // max(count, 1) + (place < len(known) % max(count, 1)) for place in range(count)]
    begins = [known[sum(lengths[:place])] for place in range(count)]
    found = [point(metric) for metric in store.sample(RUN, "loss", most, start, end)]
    assert found == [*begins[:-1], *known[-1:]]


@given(batches)
@settings(quick, max_examples=20)
def test_law_1_and_3_chunks_do_not_overlap_and_nodes_sum_up_those_below(
    catalog: Catalog, told: list[list[Metric]]
) -> None:
    store = kept(catalog, told)
    catalog.write(lambda: store.settle(RUN), durable=False)
    with catalog.connect() as connection:
        order = (chunks.c.level, chunks.c.first_step, chunks.c.first_at, chunks.c.first_rank)
        nodes = connection.execute(sa.select(chunks).order_by(*order)).all()
        held = connection.execute(sa.select(sa.func.count()).select_from(blobs)).scalar_one()
        late = connection.execute(sa.select(tail.c.step, tail.c.at, tail.c.rank)).all()
    levels = [[node for node in nodes if node.level == level] for level in range(SMALL.top + 1)]
    assert held == len(levels[0])
    assert sum(node._mapping["count"] for node in levels[0]) + len(late) == len(expected(told))
    for level in levels:
        ends = [((node.first_step, node.first_at, node.first_rank), tuple(node[5:8])) for node in level]
        assert all(one[1] < other[0] for one, other in pairwise(ends))
    for below, level in pairwise(levels):
        assert not level or len(level) < len(below)
        assert (len(below) > SMALL.fan) <= bool(level)
        for column in ("count", "nan_count"):
            totals = [sum(node._mapping[column] for node in nodes) for nodes in (below, level)]
            assert not level or totals[0] == totals[1]


@given(batches, st.integers(1, 12), st.one_of(st.none(), st.integers(-25, 25)), st.one_of(st.none(), steps))
@settings(quick, max_examples=40)
def test_law_4_a_chart_tells_what_the_whole_history_tells(
    catalog: Catalog, told: list[list[Metric]], most: int, start: int | None, end: int | None
) -> None:
    store = kept(catalog, told)
    (chart,) = store.chart(RUN, ["loss"], most, start, end)
    known = [one for one in expected(told) if (start is None or one.step >= start) and (end is None or one.step <= end)]
    assert len(chart.buckets) <= most
    assert sum(bucket.count for bucket in chart.buckets) == len(known)
    widths = {bucket.end_step - bucket.start_step for bucket in chart.buckets[:-1]}
    assert len(widths) <= 1
    for bucket in chart.buckets:
        check_bucket(bucket, [one for one in known if bucket.start_step <= one.step <= bucket.end_step])


def check_bucket(bucket: Bucket, points: list[Point]) -> None:
    told = summary_of(points)
    least, greatest = told.least, told.greatest
    assert (bucket.count, bucket.nan_count) == (told.count, told.nan_count)
    assert (bucket.first_step, rank_of(bucket.first)) == (told.first.step, told.first.rank)
    assert (bucket.last_step, rank_of(bucket.last)) == (told.last.step, told.last.rank)
    assert (bucket.least_step, bucket.least) == ((least.step, value_of(least.rank)) if least else (None, None))
    assert (bucket.greatest_step, bucket.greatest) == (
        (greatest.step, value_of(greatest.rank)) if greatest else (None, None)
    )


def test_law_2_and_5_a_write_that_fails_after_sealing_has_changed_nothing(catalog: Catalog) -> None:
    told = [[Metric(name="loss", value=1.0, step=step, at=START)] for step in range(5)]
    store = kept(catalog, told)

    def sealed_and_failed() -> None:
        store.add(RUN, [Metric(name="loss", value=2.0, step=step, at=START) for step in range(40)])
        with catalog.connect() as connection:
            sealed = connection.execute(sa.select(sa.func.count()).select_from(chunks).where(chunks.c.level == 0))
            assert 2 <= sealed.scalar_one() <= 20
        raise Conflict("the transaction ends here")

    with pytest.raises(Conflict):
        catalog.write(sealed_and_failed)
    assert [point(one) for one in store.history(RUN, "loss", None, 100)] == expected(told)
    with catalog.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(chunks)).scalar_one() == 0


def test_law_5_a_write_seals_some_pieces_and_the_next_go_on(catalog: Catalog) -> None:
    sizes = msgspec.structs.replace(SMALL, pieces=1)
    whole = [Metric(name=name, value=1.0, step=step, at=START) for name in "abc" for step in range(7)]
    store = kept(catalog, [], sizes)
    for metric in whole:
        catalog.write(partial(store.add, RUN, [metric]), durable=False)
    with catalog.connect() as connection:
        counts = connection.execute(sa.select(series.c.tail_count).where(series.c.run_id == RUN)).scalars().all()
    assert counts == [3, 3, 3]
    for _ in range(3):
        catalog.write(lambda: store.settle(RUN), durable=False)
    with catalog.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tail)).scalar_one() == 0
    assert [one.name for one in store.history(RUN, "", None, 100)] == [one.name for one in whole]


def test_what_is_forgotten_leaves_nothing(catalog: Catalog) -> None:
    store = kept(catalog, [[Metric(name=name, value=1.0, step=step, at=START) for step in range(30)] for name in "ab"])
    catalog.write(lambda: store.forget([RUN]))
    with catalog.connect() as connection:
        for table in (series, tail, chunks, blobs):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0


def test_law_3_a_retry_adds_nothing_long_after_it_was_sealed(workspace: Workspace) -> None:
    run = workspace.runs.create("retries")
    told = [
        tuple(Metric(name="loss", value=math.sin(step), step=step, at=START) for step in range(start, start + 500))
        for start in range(0, 3000, 500)
    ]
    for batch in (*told, told[0], told[-1]):
        workspace.runs.log(run.id, metrics=batch)
    workspace.runs.log(run.id, metrics=(Metric(name="loss", value=7.0, step=3, at=START),))
    workspace.runs.log(run.id, metrics=(Metric(name="loss", value=7.0, step=3, at=START + timedelta(seconds=1)),))
    workspace.runs.finish(run.id)
    page = workspace.runs.history(run.id, name="loss", limit=2000)
    rest = workspace.runs.history(run.id, name="loss", limit=25_000, cursor=page.next or "")
    found = [*page.items, *rest.items]
    assert rest.next is None
    assert [one.step for one in found] == sorted([*range(3000), 3, 3])
    assert [one.value for one in found if one.step == 3] == [math.sin(3), 7.0, 7.0]
    (chart,) = workspace.runs.chart(run.id, ("loss",), points=10)
    assert [bucket.count for bucket in chart.buckets] == [302, *[300] * 9]
    assert (chart.buckets[0].greatest_step, chart.buckets[0].greatest) == (3, 7.0)


def test_the_history_of_a_run_goes_by_name(workspace: Workspace) -> None:
    run = workspace.runs.create("names")
    told = [Metric(name=name, value=float(step), step=step, at=START) for name in "abc" for step in range(5)]
    workspace.runs.log(run.id, metrics=tuple(random.Random(0).sample(told, len(told))))
    found: list[Metric] = []
    cursor: str | None = ""
    while cursor is not None:
        page = workspace.runs.history(run.id, limit=4, cursor=cursor)
        found, cursor = [*found, *page.items], page.next
    assert found == told


def test_charts_share_their_grid_and_survive_every_value(workspace: Workspace) -> None:
    run = workspace.runs.create("charts")
    odd = (math.nan, math.inf, -math.inf, -0.0)
    workspace.runs.log(
        run.id,
        metrics=(
            *(Metric(name="odd", value=value, step=-(2**63) + 1 + step, at=START) for step, value in enumerate(odd)),
            Metric(name="far", value=1.0, step=2**63 - 1, at=START),
        ),
    )
    odd_chart, far, none = workspace.runs.chart(run.id, ("odd", "far", "none"), points=2)
    (bucket,) = odd_chart.buckets
    assert math.isnan(bucket.first)
    assert (bucket.count, bucket.nan_count, bucket.last, bucket.least, bucket.greatest) == (
        4,
        1,
        0.0,
        -math.inf,
        math.inf,
    )
    assert far.buckets[0].start_step == bucket.end_step + 1
    assert none.buckets == ()
    (close,) = workspace.runs.chart(run.id, ("odd",), start_step=-(2**63) + 1, end_step=-(2**63) + 1)
    assert (close.buckets[0].count, close.buckets[0].least, close.buckets[0].least_step) == (1, None, None)


def test_charts_that_make_no_sense_are_refused(workspace: Workspace) -> None:
    run = workspace.runs.create("refused")
    assert [chart.buckets for chart in workspace.runs.chart(run.id, ("loss",))] == [()]
    for names, points in (((), 320), (("a", "a"), 320), (("a",), 0), (("a",), 5001)):
        with pytest.raises(Invalid):
            workspace.runs.chart(run.id, names, points=points)
    with pytest.raises(Invalid, match="after end_step"):
        workspace.runs.chart(run.id, ("a",), start_step=2, end_step=1)
    with pytest.raises(Invalid, match="64 bits"):
        workspace.runs.chart(run.id, ("a",), start_step=-(2**63))
    with pytest.raises(NotFound):
        workspace.runs.chart("0" * 32, ("a",))
    with pytest.raises(Invalid, match="25000"):
        workspace.runs.history(run.id, limit=25_001)
    with pytest.raises(Invalid, match="cursor"):
        workspace.runs.history(run.id, cursor="x")


def test_writers_of_one_series_lose_nothing(home: "Home") -> None:
    run = home.workspace.runs.create("busy")

    def log(thread: int) -> None:
        for start in range(0, 600, 100):
            batch = tuple(
                Metric(name="loss", value=float(step % 7), step=step, at=START)
                for step in range(start + thread, start + thread + 150)
            )
            home.workspace.runs.log(run.id, metrics=batch)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(log, range(4)))
    found = home.workspace.runs.history(run.id, name="loss", limit=25_000).items
    assert [one.step for one in found] == list(range(653))
    (chart,) = home.workspace.runs.chart(run.id, ("loss",), points=1)
    assert (chart.buckets[0].count, chart.buckets[0].least, chart.buckets[0].greatest) == (653, 0.0, 6.0)
