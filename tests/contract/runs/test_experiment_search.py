"""Searches over experiments: what a filter means, in which order, page by page."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tidegate.kernel.errors import Invalid
from tidegate.runs.records import Experiment
from tidegate.workspace import Workspace

if TYPE_CHECKING:
    from tidegate.testing.workspaces import Home

on_both_catalogs = pytest.mark.parametrize("home", ["local-sqlite", "local-postgres"], indirect=True)
Truth = Callable[[Experiment], bool]


def is_tag(experiment: Experiment, text: str) -> bool:
    return experiment.tags.get("team") == text


FILTERS: dict[str, Truth] = {
    "": lambda _: True,
    "name = 'late 3'": lambda one: one.name == "late 3",
    "name != 'late 3' AND name LIKE 'late%'": lambda one: one.name.startswith("late") and one.name != "late 3",
    "attribute.name ILIKE 'LATE%'": lambda one: one.name.lower().startswith("late"),
    "tags.team = 'ops'": lambda one: is_tag(one, "ops"),
    "tag.team != 'ops'": lambda one: "team" in one.tags and not is_tag(one, "ops"),
    "NOT tags.team = 'ops'": lambda one: not is_tag(one, "ops"),
    r"tags.team IS NULL OR tags.`a b` LIKE '%\_x'": lambda one: (
        "team" not in one.tags or one.tags["a b"].endswith("_x")
    ),
    "name IN ('late 1', 'early 2') AND (tags.team = 'ops' OR tags.team = 'dev')": lambda one: (
        one.name in ("late 1", "early 2") and (is_tag(one, "ops") or is_tag(one, "dev"))
    ),
    "created_at > '2000-01-01T00:00:00Z' AND last_update_time < 1": lambda _: False,
    "creation_time > 1": lambda _: True,
}


def make(workspace: Workspace) -> list[Experiment]:
    chance = random.Random(1)
    for number in range(12):
        tags = {"a b": chance.choice(["1_x", "1x", ""])} | (
            {"team": chance.choice(["ops", "dev"])} if number % 3 else {}
        )
        workspace.experiments.create(f"{chance.choice(['late', 'early', 'Late'])} {number}", tags=tags)
    workspace.experiments.delete(workspace.experiments.list().items[0].id)
    return workspace.experiments.list(state="all").items


@on_both_catalogs
def test_an_experiment_is_found_where_its_filter_is_true_of_it(home: "Home") -> None:
    every = make(home.workspace)
    for text, truth in FILTERS.items():
        for state, kept in (("all", (True, False)), ("active", (False,)), ("deleted", (True,))):
            found = home.workspace.experiments.search(text, state=state).items  # type: ignore[arg-type]
            wanted = {one.id for one in every if truth(one) and (one.deleted_at is not None) in kept}
            assert {one.id for one in found} == wanted, (text, state)
            assert len(found) == len(wanted)


@on_both_catalogs
def test_experiments_come_in_order_and_in_pages(home: "Home") -> None:
    every = make(home.workspace)
    by_name = sorted(every, key=lambda one: one.name)
    by_age = sorted(every, key=lambda one: (one.created_at, one.id), reverse=True)
    orders = {("name",): by_name, ("name DESC",): by_name[::-1], (): by_age, ("creation_time ASC",): by_age[::-1]}
    for order, wanted in orders.items():
        seen: list[str] = []
        cursor = ""
        while True:
            page = home.workspace.experiments.search(order_by=order, state="all", limit=5, cursor=cursor)
            seen += [one.id for one in page.items]
            if page.next is None:
                break
            cursor = page.next
        assert seen == [one.id for one in wanted], order


def test_a_search_that_asks_for_what_is_not_there_says_so(workspace: Workspace) -> None:
    for text, said in {
        "metrics.auc > 1": "no metrics",
        "owner = 'me'": "no attribute 'owner'",
        "tags.team > 'a'": "is text",
        "name IS NULL": "always there",
        "creation_time = 'soon'": "soon",
    }.items():
        with pytest.raises(Invalid, match=said):
            workspace.experiments.search(text)
    with pytest.raises(Invalid, match="attributes alone"):
        workspace.experiments.search(order_by=("tags.team",))
