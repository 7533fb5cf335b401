"""Versions of data: immutable, named by their content, numbered, shared by fragment."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.contract.data.seeded_flights import counted, flights
from tidegate.data import fragments as fragment_sizes
from tidegate.data.records import Fragment, Manifest
from tidegate.data.rules import digest_of, stored_columns
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.workspace import Workspace


def test_a_commit_can_be_read_back(workspace: Workspace) -> None:
    table = flights()
    version = workspace.data.commit("flights", table, note="January")
    assert (str(version), version.rows, version.note, version.created_by) == ("flights/1", 600, "January", "local")
    assert version.source == "polars frame"
    assert_frame_equal(workspace.data.frame("flights"), table)
    assert workspace.data.frame(version, ["on_time", "carrier"]).columns == ["on_time", "carrier"]
    with pytest.raises(Invalid, match="no column 'punctual'"):
        workspace.data.frame(version, ["punctual"])


def test_the_same_content_is_the_same_version_from_wherever_it_comes(workspace: Workspace, tmp_path: Path) -> None:
    table = flights()
    table.write_parquet(tmp_path / "flights.parquet")
    table.write_csv(tmp_path / "flights.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z")
    first = workspace.data.commit("flights", table)
    narrow = table.with_columns(pl.col("flight_number").cast(pl.Int16), pl.col("carrier").cast(pl.Categorical))
    for source in (table, narrow, tmp_path / "flights.parquet", str(tmp_path / "flights.csv")):
        assert workspace.data.commit("flights", source) == first
    assert [version.number for version in workspace.data.versions("flights").items] == [1]
    assert workspace.data.commit("copy", table).digest == first.digest


def test_versions_count_up_and_are_found_by_every_reference(workspace: Workspace) -> None:
    january, february = (workspace.data.commit("flights", flights(month=month, seed=month)) for month in (1, 2))
    data = workspace.data
    assert [version.number for version in data.versions("flights").items] == [2, 1]
    assert data.get("flights", 1) == january == data.resolve("flights/1") == data.resolve(january.digest[:12])
    assert data.resolve("flights") == february == data.resolve(february.digest)
    with pytest.raises(NotFound, match="flights/3"):
        data.get("flights", 3)
    with pytest.raises(NotFound, match="trains"):
        data.resolve("trains")
    with pytest.raises(Invalid, match="no aliases"):
        data.resolve("flights@champion")


def test_a_digest_that_two_names_share_answers_the_first(workspace: Workspace) -> None:
    first = workspace.data.commit("one", flights())
    workspace.data.commit("another", flights())
    assert workspace.data.resolve(first.digest) == first


def test_lists_come_in_pages(workspace: Workspace) -> None:
    for number in range(5):
        workspace.data.commit(f"set {number}", counted(number))
        workspace.data.commit("grown", counted(0, rows=40 + number))
    page = workspace.data.list(limit=4)
    rest = workspace.data.list(limit=4, cursor=page.next or "")
    assert [one.name for one in [*page.items, *rest.items]] == ["grown", *(f"set {number}" for number in range(5))]
    assert rest.next is None
    assert (page.items[0].latest, page.items[0].rows) == (5, 44)
    newest = workspace.data.versions("grown", limit=3)
    oldest = workspace.data.versions("grown", limit=3, cursor=newest.next or "")
    assert [one.number for one in [*newest.items, *oldest.items]] == [5, 4, 3, 2, 1]
    with pytest.raises(Invalid, match="limit"):
        workspace.data.list(limit=0)


def test_appended_rows_leave_the_earlier_fragments(workspace: Workspace) -> None:
    size = fragment_sizes.FRAGMENT_ROWS
    long = pl.DataFrame({"n": pl.int_range(2 * size + 500, eager=True)})
    before = workspace.data.commit("long", long.head(size + 500))
    after = workspace.data.commit("long", long)
    assert [fragment.rows for fragment in after.fragments] == [size, size, 500]
    assert before.fragments[0] == after.fragments[0]
    assert_frame_equal(workspace.data.frame(before), long.head(size + 500))


def test_a_committed_version_is_immutable(workspace: Workspace) -> None:
    table = flights()
    version = workspace.data.commit("flights", table)
    workspace.data.set_contract("flights", version.contract.changed("distance_miles", maximum=20_000))
    workspace.data.commit("flights", flights(seed=2))
    assert workspace.data.get("flights", 1) == version
    assert_frame_equal(workspace.data.frame("flights/1"), table)


def test_a_version_is_named_by_its_manifest_which_is_an_object(workspace: Workspace) -> None:
    version = workspace.data.commit("flights", flights())
    raw = workspace.objects.get(version.digest)
    manifest = msgspec.json.decode(raw, type=Manifest)
    assert manifest == Manifest(stored_columns(version.contract), version.fragments)


def test_register_takes_only_what_is_stored_and_whole(workspace: Workspace) -> None:
    version = workspace.data.commit("flights", flights())
    columns = stored_columns(version.contract)
    register = workspace.data.register
    absent = Manifest(columns, (Fragment("0" * 64, 10, 10),))
    with pytest.raises(Invalid, match="is not stored"):
        register("flights", manifest=absent, contract=version.contract, revision=1)
    with pytest.raises(Invalid, match="no fragment"):
        register("flights", manifest=Manifest(columns, ()), contract=version.contract, revision=1)
    with pytest.raises(Invalid, match="other columns"):
        register("flights", manifest=Manifest(columns[:1], version.fragments), contract=version.contract, revision=1)
    with pytest.raises(Conflict, match="changed while"):
        register("new", manifest=Manifest(columns, version.fragments), contract=version.contract, revision=1)
    assert [one.name for one in workspace.data.list().items] == ["flights"]
    again = workspace.data.register(
        "flights", manifest=Manifest(columns, version.fragments), contract=version.contract, revision=1
    )
    assert again == version
    assert digest_of(Manifest(columns, version.fragments)) == version.digest


def test_commits_at_once_lose_no_number(workspace: Workspace) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda seed: workspace.data.commit("busy", counted(seed)), range(8)))
    numbers = sorted(version.number for version in made)
    kept = {version.number: version.digest for version in workspace.data.versions("busy").items}
    assert numbers == list(range(1, 9))
    assert kept == {version.number: version.digest for version in made}


def test_names_are_checked_before_anything_is_read(workspace: Workspace) -> None:
    for name in ("", "a/b", "../x", "x" * 129):
        with pytest.raises(Invalid, match="not a name"):
            workspace.data.commit(name, flights())


def test_rows_of_a_version(workspace: Workspace) -> None:
    workspace.data.commit("flights", flights())
    rows = workspace.data.rows(
        "flights",
        features=["carrier", "distance_miles"],
        label="arrival_delay_minutes",
        order_by="scheduled_departure",
    )
    nulls = flights()["arrival_delay_minutes"].null_count()
    assert (len(rows), rows.left_out) == (600 - nulls, nulls)
    assert rows.X.shape == (len(rows), 2)
    assert rows.lineage[0].label == "flights/1"
    train, held_out = rows.split(before="2013-01-20")
    assert len(train) + len(held_out) == len(rows)
