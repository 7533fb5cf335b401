"""Models as names, seen in four ways: owners, notes, tags, aliases, stages, search, real delete."""

from typing import Any

import msgspec
import pytest

from tests.contract.models.late_models import late_rows, logged, manifest, registered, run_id
from tidegate.endpoints.service import Endpoints
from tidegate.kernel.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, Refused
from tidegate.models.records import Manifest, StagePolicy
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace


def test_a_model_is_made_described_and_tagged(workspace: Workspace) -> None:
    made = workspace.models.create("late", note="of flights", tags={"team": "ops"})
    assert (made.owner, made.created_by, made.note, made.tags, made.versions) == (
        "local",
        "local",
        "of flights",
        {"team": "ops"},
        0,
    )
    assert workspace.models.model("late") == made
    assert workspace.models.list().items == [made]
    with pytest.raises(AlreadyExists, match="'late' already"):
        workspace.models.create("late")
    changed = workspace.models.update("late", owner="rita")
    assert (changed.owner, changed.note) == ("rita", "of flights")
    assert changed.updated_at >= made.updated_at
    tagged = workspace.models.set_tags("late", tags={"team": "risk", "tier": "1"})
    assert tagged.tags == {"team": "risk", "tier": "1"}
    assert workspace.models.delete_tag("late", tag="tier").tags == {"team": "risk"}
    for wrong in (
        lambda: workspace.models.delete_tag("late", tag="tier"),
        lambda: workspace.models.model("early"),
        lambda: workspace.models.update("early", note="x"),
        lambda: workspace.models.resolve("late"),
    ):
        with pytest.raises(NotFound):
            wrong()
    assert workspace.models.versions("late").items == []
    for name in ("../late", "a/b", "", "x" * 129):
        with pytest.raises(Invalid):
            workspace.models.create(name)
    with pytest.raises(Invalid, match="note has 100,001"):
        workspace.models.update("late", note="x" * 100_001)
    assert workspace.models.model("late").note == "of flights"


def test_a_version_makes_its_model_and_is_described_and_tagged(workspace: Workspace) -> None:
    version = workspace.models.register("late", manifest(workspace, "late"), note="first", tags={"a": "1"})
    assert (version.tags, workspace.models.get("late", 1)) == ({"a": "1"}, version)
    assert workspace.models.model("late").versions == 1
    assert workspace.models.update_version("late", 1, note="second").note == "second"
    assert workspace.models.set_version_tags("late", 1, tags={"a": "2", "b": ""}).tags == {"a": "2", "b": ""}
    assert workspace.models.delete_version_tag("late", 1, tag="a").tags == {"b": ""}
    with pytest.raises(NotFound, match="no tag 'a'"):
        workspace.models.delete_version_tag("late", 1, tag="a")
    with pytest.raises(Invalid):
        workspace.models.set_version_tags("late", 1, tags={"x" * 251: "1"})
    found = workspace.models.get("late", 1)
    assert (found.digest, found.manifest, found.note) == (version.digest, version.manifest, "second")


def test_law_3_the_number_of_a_deleted_version_is_never_given_again(workspace: Workspace) -> None:
    for content in (b"1", b"2", b"3"):
        registered(workspace, "late", content)
    workspace.models.set_alias("late", "trial", number=3)
    with pytest.raises(Refused, match=r"late@trial points at it"):
        workspace.models.delete_version("late", 3)
    workspace.models.attest("late", 3, kind="gate:quality", verdict="pass")
    assert workspace.models.delete_version("late", 3, with_aliases=True).number == 3
    for gone in ("late/3", "late@trial"):
        with pytest.raises(NotFound):
            workspace.models.resolve(gone)
    again = registered(workspace, "late", b"3")
    assert (again.number, workspace.models.model("late").versions) == (4, 3)
    assert workspace.models.attestations("late", 4).items == []
    assert [one.number for one in workspace.models.versions("late").items] == [4, 2, 1]


def test_law_1_and_2_versions_come_newest_first(workspace: Workspace) -> None:
    for content in (b"1", b"2", b"3"):
        registered(workspace, "late", content)
    workspace.models.promote("late", 1, to="staging")
    assert [(one.number, one.stage) for one in workspace.models.newest("late")] == [(1, "staging"), (3, "development")]
    workspace.models.promote("late", 2, to="staging", archive_others=True)
    assert {one.number: one.stage for one in workspace.models.versions("late").items} == {
        1: "archived",
        2: "staging",
        3: "development",
    }


def test_what_was_deployed_is_neither_deleted_nor_renamed(home: Home) -> None:
    workspace = home.workspace
    train, _ = late_rows(workspace, 200)
    logged(workspace, train)
    workspace.models.set_policy("late-arrival", "production", policy=StagePolicy())
    workspace.models.promote("late-arrival", 1, to="production")
    for act in (
        lambda: workspace.models.delete_version("late-arrival", 1),
        lambda: workspace.models.delete("late-arrival"),
        lambda: workspace.models.rename("late-arrival", to="later"),
    ):
        with pytest.raises(Refused, match="is in production"):
            act()
    endpoints: Endpoints = workspace.endpoints
    endpoints.deploy("late-arrival", "late-arrival/1")
    endpoints.retire("late-arrival")
    workspace.models.promote("late-arrival", 1, to="archived")
    with pytest.raises(Refused, match="predictions lead back to it"):
        workspace.models.delete_version("late-arrival", 1)
    with pytest.raises(Refused, match="was deployed behind late-arrival"):
        workspace.models.delete("late-arrival")
    with pytest.raises(Refused, match="deploy another version"):
        workspace.models.delete_alias("late-arrival", "champion")
    assert workspace.models.resolve("late-arrival@champion").number == 1


def test_a_model_goes_with_all_that_it_has(home: Home) -> None:
    workspace = home.workspace
    registered(workspace, "late", b"1")
    registered(workspace, "late", b"2")
    workspace.models.set_alias("late", "champion", number=1)
    workspace.models.set_alias("late", "Trial-2", number=2)
    assert workspace.models.model("late").aliases == {"Trial-2": 2, "champion": 1}
    assert workspace.models.delete_alias("late", "champion").aliases == {"Trial-2": 2}
    with pytest.raises(NotFound, match="it has Trial-2"):
        workspace.models.delete_alias("late", "champion")
    workspace.people.add("carla", role="contributor")
    carla = home.acting("carla")
    for act in (lambda: carla.models.delete("late"), lambda: carla.models.delete_version("late", 1)):
        with pytest.raises(Forbidden, match="maintainer"):
            act()
    assert workspace.models.delete("late").versions == 2
    with pytest.raises(NotFound):
        workspace.models.model("late")
    with pytest.raises(NotFound):
        workspace.models.get("late", 1)
    assert registered(workspace, "late", b"3").number == 1


def test_a_renamed_model_keeps_its_versions_and_its_policies(workspace: Workspace) -> None:
    version = registered(workspace, "late", b"1")
    registered(workspace, "early")
    workspace.models.set_tags("late", tags={"a": "b"})
    workspace.models.set_version_tags("late", 1, tags={"c": "d"})
    workspace.models.set_alias("late", "trial", number=1)
    workspace.models.set_policy("late", "staging", policy=StagePolicy(gates=("gate:latency",)))
    workspace.models.set_policy("guarded", "production", policy=StagePolicy(approvals=2))
    for taken in ("early", "guarded"):
        with pytest.raises(AlreadyExists):
            workspace.models.rename("late", to=taken)
    renamed = workspace.models.rename("late", to="arrivals")
    assert (renamed.name, renamed.tags, renamed.aliases) == ("arrivals", {"a": "b"}, {"trial": 1})
    found = workspace.models.resolve("arrivals@trial")
    assert (found.digest, found.tags, found.reference) == (version.digest, {"c": "d"}, "arrivals/1")
    with pytest.raises(Refused, match="gate:latency"):
        workspace.models.promote("arrivals", 1, to="staging")
    with pytest.raises(NotFound):
        workspace.models.resolve("late")


def test_models_are_searched_for_and_paged_through(workspace: Workspace) -> None:
    for place, name in enumerate(("late-a", "late-b", "Late-c", "early")):
        workspace.models.create(name, tags={"team": "ops" if place % 2 else "risk"}, note="n" * place)

    def names(filter: str = "", *order: str) -> list[str]:
        return [one.name for one in workspace.models.search(filter, order_by=order).items]

    assert names() == ["Late-c", "early", "late-a", "late-b"]
    assert names("name LIKE 'late%'") == ["late-a", "late-b"]
    assert names("name ILIKE 'late%' AND tags.team = 'risk'") == ["Late-c", "late-a"]
    assert names("NOT (tags.team = 'risk' OR name = 'early')") == ["late-b"]
    assert names("tags.nothing IS NULL AND name IN ('early', 'x')") == ["early"]
    assert names("", "last_updated_timestamp DESC") == ["early", "Late-c", "late-b", "late-a"]
    assert names("tags.team != 'ops'", "name DESC") == ["late-a", "Late-c"]
    paged, cursor = [], ""
    while True:
        page = workspace.models.search("owner = 'local'", order_by=("created_at DESC",), limit=1, cursor=cursor)
        paged += [one.name for one in page.items]
        if page.next is None:
            break
        cursor = page.next
    assert paged == ["early", "Late-c", "late-b", "late-a"]
    for wrong in ("metrics.auc > 1", "colour = 'red'", "name >", "created_at = 'soon'"):
        with pytest.raises(Invalid):
            workspace.models.search(wrong)
    for order in ("tags.team", "name SIDEWAYS"):
        with pytest.raises(Invalid):
            workspace.models.search(order_by=(order,))
    with pytest.raises(Invalid, match="another order"):
        workspace.models.search(order_by=("name DESC",), cursor=workspace.models.search(limit=1).next or "")


def test_versions_are_searched_for_across_models(workspace: Workspace) -> None:
    run = run_id()
    for name in ("a", "b"):
        for content in (b"1", b"2", b"3"):
            made = manifest(workspace, name, content, run_id=run if content == b"2" else None)
            workspace.models.register(name, made, tags={"content": content.decode()})
    workspace.models.promote("a", 1, to="staging")

    def found(filter: str = "", *order: str) -> list[str]:
        order = order or ("name", "number")
        return [str(one) for one in workspace.models.search_versions(filter, order_by=order).items]

    assert found("name = 'a'") == ["a/1", "a/2", "a/3"]
    assert found(f"run_id = '{run}'") == ["a/2", "b/2"]
    assert found("run_id IS NULL AND version_number > 1", "version_number DESC", "name") == ["a/3", "b/3"]
    assert found("stage = 'staging'") == ["a/1"]
    assert found("tags.content IN ('1', '3') AND name != 'a'") == ["b/1", "b/3"]
    newest = workspace.models.search_versions(limit=2)
    assert str(newest.items[0]) == "a/1"
    rest = workspace.models.search_versions(limit=10, cursor=newest.next or "")
    assert len({str(one) for one in (*newest.items, *rest.items)}) == 6


def test_files_that_no_server_may_load_are_kept_and_say_so(workspace: Workspace) -> None:
    digest = workspace.objects.put(b"a pickle").digest
    made = Manifest(name="late", format="mlflow", runtime="", files={"MLmodel": digest, "code/x.py": digest})
    version = workspace.models.register("late", made)
    assert version.manifest.files["code/x.py"] == digest
    with pytest.raises(Refused, match="no server loads it"):
        workspace.models.load("late/1")
    workspace.models.set_policy("late", "production", policy=StagePolicy())
    workspace.models.promote("late", 1, to="production")
    with pytest.raises(Refused, match="no server loads it"):
        workspace.endpoints.deploy("late", "late/1")
    assert workspace.endpoints.list().items == []
    good = Manifest(name="other", format="mlflow", runtime="", files={"a": digest})
    wrong: list[dict[str, Any]] = [
        {"runtime": "onnx"},
        {"files": {}},
        {"files": {"../x": digest}},
        {"files": {"a//b": digest}},
    ]
    for changes in wrong:
        with pytest.raises(Invalid):
            workspace.models.register("other", msgspec.structs.replace(good, **changes))
    with pytest.raises(Conflict):
        workspace.models.promote("late", 1, to="production")
