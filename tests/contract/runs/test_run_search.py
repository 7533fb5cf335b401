"""Searches over runs: what a filter means, in which order, page by page, and what is read for it."""

import contextlib
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.runs import naive_search as naive
from tidegate.kernel.clock import to_micros
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.runs.records import Foreign, Metric, Run, RunInput
from tidegate.runs.search.order import TIE_BREAK
from tidegate.runs.search.parser import parse_filter
from tidegate.runs.store import runs as run_table
from tidegate.workspace import Workspace

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home

on_both_catalogs = pytest.mark.parametrize("home", ["local-sqlite", "local-postgres"], indirect=True)
T = TypeVar("T")
Series = dict[tuple[str, str], list[float]]


def some_of(pool: list[T], chance: random.Random) -> dict[str, T]:
    return {name: chance.choice(pool) for name in ("a", "b b") if chance.random() < 0.8}


def make_run(workspace: Workspace, chance: random.Random, series: Series, inputs: tuple[str, ...] = ()) -> None:
    """A run with anything, or nothing, in each of its parts."""
    run = workspace.runs.create(
        chance.choice(["early", "late"]),
        name=chance.choice(["", "É a", "early", "Late"]),
        parent=chance.choice(["", next(iter(series), ("",))[0]]),
        params=some_of(naive.PARAMS, chance),
        tags=some_of(naive.TEXTS, chance),
        inputs=tuple(one for one in inputs if chance.random() < 0.5),
    )
    for name in ("a", "b b"):
        values = [chance.choice([*naive.NUMBERS, math.nan]) for _ in range(chance.choice([0, 1, 1, 3]))]
        metrics = tuple(Metric(name=name, value=value, step=step) for step, value in enumerate(values))
        if metrics:
            workspace.runs.log(run.id, metrics=metrics)
            series[run.id, name] = values
    if chance.random() < 0.5:
        workspace.runs.finish(run.id, status="failed", error=chance.choice(naive.TEXTS))


def blur_starts(home: "Home") -> None:
    """Runs that began within the same moments, so that ties are broken."""
    catalog = home.inside.storage.catalog

    def blur() -> None:
        with catalog.connect() as connection:
            for number, (run_id,) in enumerate(connection.execute(sa.select(run_table.c.id)).all()):
                moment = 1_385_510_400_000_000 + number % 5 * 1_000_000
                connection.execute(run_table.update().where(run_table.c.id == run_id).values(started_at=moment))

    catalog.write(blur)


def all_runs(workspace: Workspace) -> list[Run]:
    return workspace.runs.list(limit=1000).items


@on_both_catalogs
def test_law_1_a_run_is_found_where_its_filter_is_true_of_it(home: "Home") -> None:
    workspace, series = home.workspace, Series()
    inputs = tuple(str(workspace.data.commit(name, pl.DataFrame({"x": [1.0]}))) for name in ("flights 2", "weather"))
    for number in range(48):
        make_run(workspace, random.Random(number), series, inputs)
    blur_starts(home)
    runs = all_runs(workspace)
    instants = sorted({to_micros(run.started_at) for run in runs})

    @settings(max_examples=100, deadline=None)
    @given(naive.filters(instants, [*inputs, "flights 2", "early"]), naive.ORDERS)
    def check(term: Any, order: list[Any]) -> None:
        text = naive.spelt(term)
        assert parse_filter(text) == term
        chosen = [run for run in runs if naive.evaluate(term, run, series)]
        expected = naive.ordered(chosen, (*order, *TIE_BREAK), series)
        found = workspace.runs.search(text, order_by=tuple(map(naive.spelt_key, order)), fields=("attributes",))
        assert [run.id for run in found.items] == [run.id for run in expected]
        assert workspace.runs.count(text) == len(expected)

    check()


@on_both_catalogs
def test_law_2_paging_shows_each_run_that_was_there_once(home: "Home") -> None:
    workspace, series = home.workspace, Series()
    for number in range(20):
        make_run(workspace, random.Random(number), series)
    blur_starts(home)

    @settings(max_examples=10, deadline=None)
    @given(naive.ORDERS, st.integers(1, 6), st.integers(0, 10_000))
    def check(order: list[Any], size: int, seed: int) -> None:
        chance, there = random.Random(seed), {run.id for run in all_runs(workspace)}
        clauses = tuple(map(naive.spelt_key, order))
        before = [run.id for run in workspace.runs.search(order_by=clauses, limit=1000).items]
        seen: list[list[str]] = []
        cursors: list[str] = [""]
        while cursors[-1] or not seen:
            page = workspace.runs.search(order_by=clauses, limit=size, cursor=cursors[-1], fields=("attributes",))
            seen.append([run.id for run in page.items if run.id in there])
            cursors.append(page.next or "")
            if len(seen) < 4:
                make_run(workspace, chance, series)
        assert [one for ids in seen for one in ids] == before
        at = chance.randrange(len(seen))
        again = workspace.runs.search(order_by=clauses, limit=size, cursor=cursors[at], fields=("attributes",)).items
        there_again = [run.id for run in again if run.id in there]
        assert there_again == seen[at][: len(there_again)]

    check()


@contextlib.contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to a database meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "clock_timestamp" not in statement:  # PostgreSQL's clock tells which of the runs are stale
            seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@on_both_catalogs
def test_law_3_parts_that_are_not_asked_for_are_not_read(home: "Home") -> None:
    workspace = home.workspace
    version = workspace.data.commit("points", pl.DataFrame({"x": [1.0]}))
    run = workspace.runs.start("late", params={"depth": 3, "rate": 0.1}, tags={"mlflow.user": "a", "b": "c"})
    run.log_metrics({"auc": 0.5, "val.auc": 0.4, "val.loss": 0.3})
    run.log_input(version)
    run.log_artifact("notes.txt", b"note")
    whole = workspace.runs.get(run.id)

    def found(*fields: str) -> tuple[Run, list[str]]:
        with statements() as seen:
            (one,) = workspace.runs.search("params.depth = 3", order_by=("metrics.auc",), fields=fields).items
        return one, seen

    one, seen = found()
    assert one == whole
    assert len(seen) == 6
    one, seen = found("attributes")
    assert len(seen) == 1
    assert "environment" not in seen[0]
    assert (one.params, one.metrics, one.tags, one.inputs, one.artifacts, one.environment) == ({}, {}, {}, (), (), None)
    assert one.code.absent == "not asked for"
    assert (one.id, one.experiment, one.started_at) == (whole.id, whole.experiment, whole.started_at)
    one, seen = found("metrics.val.*", "params.rate", "tags.mlflow.user", "environment", "code")
    assert len(seen) == 4
    assert (one.metrics, one.params, one.tags) == (
        {"val.auc": 0.4, "val.loss": 0.3},
        {"rate": 0.1},
        {"mlflow.user": "a"},
    )
    assert (one.environment, one.code, one.inputs) == (whole.environment, whole.code, ())
    one, seen = found("inputs", "artifacts")
    assert len(seen) == 3
    assert (one.inputs, one.artifacts, one.metrics) == (whole.inputs, whole.artifacts, {})


@on_both_catalogs
def test_a_hostile_filter_is_answered_or_refused(home: "Home") -> None:
    runs = home.workspace.runs
    run = runs.create("late", params={"a": "a" * 6000, "q": "x' OR '1'='1"}, tags={"t": "b" * 6000})
    bomb = "%a" * 20
    assert runs.count(f"params.a LIKE '{bomb}'") == 1
    assert runs.count(f"params.a LIKE '{bomb}b' OR tags.t ILIKE '{bomb}'") == 0
    assert runs.count("params.q = 'x'' OR ''1''=''1'") == 1
    assert runs.count("params.a = 'x'' OR ''1''=''1'") == 0
    assert runs.count("params.`a' OR 1=1 --` = 'x'") == 0
    nested = "(" * 49 + " OR ".join(f"NOT metrics.a > {number}" for number in range(100)) + ")" * 49
    assert runs.count(nested) == 1
    alike = " AND ".join(["params.a LIKE 'a%'"] * 100)
    assert [one.id for one in runs.search(alike, order_by=("params.a",) * 8).items] == [run.id]
    listed = ", ".join(f"'{number}'" for number in range(1000))
    assert runs.count(f"id NOT IN ({listed})") == 1
    assert runs.count("start_time < 9223372036854775 AND start_time > -9223372036854775") == 1
    for wrong in ("params.a = '\0'", "x" * 1_000_000, "(" * 1000, "params.a LIKE '" + "%a" * 21 + "'"):
        with pytest.raises(Invalid, match="filter"):
            runs.search(wrong)
    with pytest.raises(Invalid, match="limit"):
        runs.search(limit=10**9)


def test_runs_are_searched_from_everywhere(workspace: Workspace, acting: Callable[[str], Workspace]) -> None:
    made = defaultdict(list)
    for number in range(6):
        experiment = "odd" if number % 2 else "even"
        made[experiment].append(workspace.runs.create(experiment, params={"depth": number}).id)
    workspace.people.add("looker", role="viewer")
    viewer = acting("looker")
    assert viewer.runs.count() == 6
    assert viewer.runs.count("params.depth >= 3", experiments=("odd",)) == 2
    page = viewer.runs.search("params.depth >= 1", experiments=("odd",), order_by=("params.number(depth)",), limit=2)
    rest = viewer.runs.search(
        "params.depth >= 1", experiments=("odd",), order_by=("params.number(depth)",), limit=2, cursor=page.next or ""
    )
    assert [run.id for run in [*page.items, *rest.items]] == made["odd"]
    assert rest.next is None
    assert [run.id for run in viewer.runs.search(limit=2).items] == [made["odd"][2], made["even"][2]]
    workspace.runs.delete(made["odd"][0])
    assert [viewer.runs.count(state=state) for state in ("active", "deleted", "all")] == [5, 1, 6]
    workspace.experiments.delete("even")
    assert [run.id for run in viewer.runs.search(order_by=("start_time",)).items] == made["odd"][1:]
    assert viewer.runs.count("experiment = 'even'", state="deleted") == 3
    with pytest.raises(NotFound, match="no experiment 'neither'"):
        viewer.runs.search(experiments=("neither",))
    with pytest.raises(Invalid, match="filter, character 3: expected an operator"):
        viewer.runs.search("id")
    with pytest.raises(Invalid, match="cursor belongs to another"):
        viewer.runs.search(order_by=("status",), cursor=page.next or "")


@on_both_catalogs
def test_a_dataset_is_called_as_its_tool_calls_it(home: "Home") -> None:
    runs = home.workspace.runs
    version = home.workspace.data.commit("flights 2", pl.DataFrame({"x": [1.0]}))
    ours, theirs = runs.create("late", inputs=(str(version),)), runs.create("late")
    runs.log(theirs.id, foreign_inputs=(RunInput("d3", "train/2", Foreign(source_type="local", source="a.csv")),))
    found = runs.search("datasets.name = 'train/2'").items
    assert [(run.id, run.inputs) for run in found] == [(theirs.id, runs.get(theirs.id).inputs)]
    assert [run.id for run in runs.search("datasets.name LIKE 'flights _'").items] == [ours.id]
    assert runs.count(f"datasets.digest IN ('d3', '{version.digest}')") == 2
    assert runs.count("datasets.name = 'train'") == 0
