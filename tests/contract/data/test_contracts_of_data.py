"""The contract: learnt from the first commit, kept by the later ones, changed only on purpose."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from tests.contract.data.seeded_flights import counted, flights
from tidegate.data.records import Contract, Field
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.workspace import Workspace

Fault = Callable[[pl.DataFrame], pl.DataFrame]


def row(number: int, column: str, value: object) -> Fault:
    changed = pl.when(pl.int_range(pl.len()) == number).then(pl.lit(value)).otherwise(pl.col(column))
    return lambda table: table.with_columns(changed.alias(column))


FAULTS: dict[str, tuple[Fault, str, str, tuple[int, ...]]] = {
    "kilometres": (lambda t: t.with_columns(pl.col("distance_miles") * 1.609344), "distance_miles", "kind", ()),
    "whole kilometres": (
        lambda t: t.with_columns((pl.col("distance_miles") * 1.609344).round().cast(pl.Int64)),
        "distance_miles",
        "range",
        (),
    ),
    "seconds": (lambda t: t.with_columns(pl.col("arrival_delay_minutes") * 60), "arrival_delay_minutes", "range", ()),
    "null": (row(7, "carrier", None), "carrier", "null", (7,)),
    "nan": (row(8, "wind_speed_mph", float("nan")), "wind_speed_mph", "null", (8,)),
    "half null": (
        lambda t: t.with_columns(pl.when(pl.int_range(pl.len()) % 2 == 1).then(pl.col("arrival_delay_minutes"))),
        "arrival_delay_minutes",
        "null share",
        (),
    ),
    "unseen carrier": (row(9, "carrier", "ZZ"), "carrier", "category", (9,)),
    "text": (lambda t: t.with_columns(pl.col("flight_number").cast(pl.String)), "flight_number", "kind", ()),
    "missing": (lambda t: t.drop("on_time"), "on_time", "missing", ()),
    "added": (lambda t: t.with_columns(gate=pl.lit("A1")), "gate", "added", ()),
    "unsorted": (lambda t: pl.concat([t[:300], t[299:300], t[:1], t[300:]]), "scheduled_departure", "order", (301,)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_breaks_the_contract_is_refused_with_column_rule_and_rows(workspace: Workspace, fault: str) -> None:
    workspace.data.commit("flights", flights(rows=1000))
    spoil, column, rule, rows = FAULTS[fault]
    with pytest.raises(Invalid) as caught:
        workspace.data.commit("flights", spoil(flights(rows=1000, seed=2, month=2)))
    found = caught.value.details["violations"]
    assert isinstance(found, list)
    assert [(one["column"], one["rule"]) for one in found] == [(column, rule)]
    assert column in caught.value.message
    if rows:
        assert tuple(found[0]["rows"]) == rows
        assert f"row {rows[0]}" in caught.value.message
    elif rule not in ("missing", "added"):
        assert len(found[0]["rows"]) == 10
        assert found[0]["count"] > 10
    assert [version.number for version in workspace.data.versions("flights").items] == [1]


def test_ordinary_months_pass(workspace: Workspace) -> None:
    for month in range(1, 7):
        workspace.data.commit("flights", flights(rows=1000, seed=month, month=month))
    assert workspace.data.resolve("flights").number == 6
    assert workspace.data.contract("flights").revision == 1


def test_everything_that_is_wrong_is_told_at_once(workspace: Workspace) -> None:
    workspace.data.commit("flights", flights())
    bad = flights(seed=2).with_columns(carrier=pl.lit("ZZ"), flight_number=pl.lit("x")).drop("on_time")
    with pytest.raises(Invalid) as caught:
        workspace.data.commit("flights", bad)
    found = caught.value.details["violations"]
    assert isinstance(found, list)
    assert {one["column"] for one in found} == {"carrier", "flight_number", "on_time"}
    assert "and 590 more" in caught.value.message


def test_a_contract_can_be_given_first(workspace: Workspace) -> None:
    contract = Contract((Field(name="age", kind="integer", minimum=0, maximum=130),))
    with pytest.raises(Invalid, match=r"outside 0 to 130; for instance 131 \(row 1\)"):
        workspace.data.commit("people", pl.DataFrame({"age": [30, 131]}), contract=contract)
    with pytest.raises(NotFound):
        workspace.data.contract("people")
    version = workspace.data.commit("people", pl.DataFrame({"age": [30, 130]}), contract=contract)
    assert version.contract == contract == workspace.data.contract("people").contract


def test_a_contract_can_be_widened(workspace: Workspace) -> None:
    first = workspace.data.commit("flights", flights())
    unseen = flights(seed=2).with_columns(
        carrier=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("ZZ")).otherwise("carrier")
    )
    wide = first.contract.changed("carrier", categories=(*first.contract.field("carrier").categories, "ZZ"))
    revision = workspace.data.set_contract("flights", wide, note="ZZ flies here since February")
    assert (revision.revision, revision.note, revision.created_by) == (2, "ZZ flies here since February", "local")
    assert workspace.data.set_contract("flights", wide).revision == 2
    second = workspace.data.commit("flights", unseen)
    assert (second.contract_revision, first.contract_revision) == (2, 1)
    text = wide.changed("carrier", kind="text", categories=())
    third = workspace.data.commit("flights", flights(seed=3), contract=text)
    assert third.contract_revision == 3
    history = workspace.data.contracts("flights", limit=2)
    assert [one.revision for one in history.items] == [3, 2]
    assert [one.revision for one in workspace.data.contracts("flights", cursor=history.next or "").items] == [1]
    with pytest.raises(NotFound, match="trains"):
        workspace.data.set_contract("trains", wide)


def test_a_contract_can_be_seen_before_anything_is_stored(workspace: Workspace) -> None:
    contract = workspace.data.infer(flights())
    assert contract.sorted_by == "scheduled_departure"
    assert contract.field("carrier").kind == "category"
    assert workspace.data.list().items == []
    assert workspace.data.commit("flights", flights()).contract == contract


def test_a_commit_that_meets_a_new_contract_is_checked_again(workspace: Workspace) -> None:
    """A contract that comes into force between check and registration is never passed by."""
    first = workspace.data.commit("counted", counted(0))
    narrow, wide = (first.contract.changed("n", maximum=top) for top in (10_000.0, 20_000.0))

    def commit(number: int) -> int:
        return workspace.data.commit("counted", counted(number)).contract_revision

    with ThreadPoolExecutor(3) as pool:
        commits = pool.map(commit, range(1, 9))
        for turn in range(4):
            workspace.data.set_contract("counted", (wide, narrow)[turn % 2])
        outcomes = list(commits)
    assert len(outcomes) == 8
    revisions = [one.contract_revision for one in reversed(workspace.data.versions("counted").items)]
    assert revisions == sorted(revisions)


def test_changes_are_told_as_facts_and_audited(workspace: Workspace) -> None:
    version = workspace.data.commit("flights", flights())
    workspace.data.set_contract("flights", version.contract.changed("on_time", nullable=True))
    rows = [(row.operation, row.subject, row.outcome) for row in workspace.audit.list().items]
    assert ("data.register", "flights", "ok") in rows
    assert ("data.set_contract", "flights", "ok") in rows
