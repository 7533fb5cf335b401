"""The room of endpoints, locally, over the wire, over HTTP, and on PostgreSQL."""

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.contract.endpoints.serving_home import ROW
from tests.contract.models.kept_models import kept
from tidegate.endpoints.records import OutcomeIn, Strategy
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from tidegate.models.records import ModelVersion, StagePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.workspace import Workspace


def logged(workspace: "Workspace", recipe: str, name: str = "late") -> ModelVersion:
    return kept(recipe).log(name, workspace.models, workspace.objects)


def promoted(workspace: "Workspace", recipe: str, name: str = "late") -> ModelVersion:
    version = logged(workspace, recipe, name)
    workspace.models.set_policy(name, "production", policy=StagePolicy())
    return workspace.models.promote(name, version.number, to="production")


def test_only_production_is_served(workspace: "Workspace") -> None:
    version = logged(workspace, "linear, text")
    with pytest.raises(Refused, match=r"late/1 is in stage development.*tidegate models promote"):
        workspace.endpoints.deploy("late", version)
    with pytest.raises(NotFound):
        workspace.endpoints.get("late")
    with pytest.raises(NotFound, match="late/9"):
        workspace.endpoints.deploy("late", "late/9")


def test_from_deployment_to_label(workspace: "Workspace") -> None:
    version = promoted(workspace, "linear, text")
    deployment = workspace.endpoints.deploy("late", version)
    assert (deployment.version, deployment.digest, deployment.state) == ("late/1", version.digest, "live")
    assert (deployment.strategy, deployment.variant, deployment.by) == (Strategy(), "stable", "local")
    assert workspace.models.resolve("late@champion").number == 1
    assert workspace.endpoints.get("late").live == deployment
    answer = workspace.endpoints.predict("late", [ROW, ROW | {"carrier": "unheard of"}])
    first, second = answer.predictions
    assert (first.model, first.variant) == ("late/1", "stable")
    assert first.probabilities is not None
    assert sum(first.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    kept = workspace.predictions.get(second.id)
    assert (kept.deployment, kept.unknown) == (deployment.id, {"carrier": 1})
    now = SystemClock().now()
    assert workspace.endpoints.labels("late", [OutcomeIn(first.id, "late", now)]).accepted == 1
    label = workspace.predictions.get(first.id).label
    assert label is not None
    assert label.value == "late"


def test_the_next_version_is_seen_at_once(workspace: "Workspace") -> None:
    workspace.endpoints.deploy("late", promoted(workspace, "linear, text"))
    assert workspace.endpoints.predict("late", [ROW]).predictions[0].model == "late/1"
    second = promoted(workspace, "boosting, text")
    deployment = workspace.endpoints.deploy("late", "late/2")
    assert workspace.endpoints.predict("late", [ROW]).predictions[0].model == "late/2"
    assert workspace.models.resolve("late@champion").digest == second.digest
    assert workspace.endpoints.deploy("late", second) == deployment, "what is live already is not deployed again"
    page = workspace.endpoints.deployments("late")
    assert [(one.version, one.state) for one in page.items] == [("late/2", "live"), ("late/1", "replaced")]
    first = workspace.endpoints.deployments("late", limit=1)
    assert first.next is not None
    assert workspace.endpoints.deployments("late", limit=1, cursor=first.next).items == page.items[1:]


def test_endpoints_are_listed_by_name_and_retired(workspace: "Workspace") -> None:
    version = promoted(workspace, "linear, text")
    for name in ("b", "a", "c"):
        workspace.endpoints.deploy(name, version)
    assert [one.name for one in workspace.endpoints.list().items] == ["a", "b", "c"]
    page = workspace.endpoints.list(limit=2)
    assert page.next is not None
    assert [one.name for one in workspace.endpoints.list(limit=2, cursor=page.next).items] == ["c"]
    retired = workspace.endpoints.retire("b")
    assert (retired.state, retired.live) == ("retired", None)
    assert workspace.endpoints.retire("b") == retired
    with pytest.raises(NotFound, match="'b'"):
        workspace.endpoints.predict("b", [ROW])
    assert workspace.endpoints.deployments("b").items[0].state == "retired"
    workspace.endpoints.deploy("b", version)
    assert workspace.endpoints.predict("b", [ROW]).predictions


def test_an_endpoint_keeps_its_task(workspace: "Workspace") -> None:
    workspace.endpoints.deploy("late", promoted(workspace, "linear, text"))
    with pytest.raises(Refused, match="answers a classification and delay/1 is a regression"):
        workspace.endpoints.deploy("late", promoted(workspace, "regression", "delay"))


def test_what_is_wrong_is_named(workspace: "Workspace") -> None:
    version = promoted(workspace, "linear, text")
    workspace.endpoints.deploy("late", version)
    with pytest.raises(Invalid, match=r"rows\[1\]\.wind"):
        workspace.endpoints.predict("late", [ROW, ROW | {"wind": "strong"}])
    with pytest.raises(Invalid, match="at"):
        workspace.endpoints.predict("late", [ROW], at=[])
    wrong = OutcomeIn(workspace.endpoints.predict("late", [ROW]).predictions[0].id, "early", SystemClock().now())
    with pytest.raises(Invalid, match=r"labels\[0\]\.value"):
        workspace.endpoints.labels("late", [wrong])
    with pytest.raises(Invalid, match="endpoint"):
        workspace.endpoints.deploy("_late", version)
    with pytest.raises(Conflict, match="another version in this home"):
        workspace.endpoints.deploy("late", msgspec.structs.replace(version, digest="0" * 64))
    for call in (workspace.endpoints.get, workspace.endpoints.retire, workspace.endpoints.deployments):
        with pytest.raises(NotFound, match="nowhere"):
            call("nowhere")


def test_roles(workspace: "Workspace", acting: "Callable[[str], Workspace]") -> None:
    workspace.endpoints.deploy("late", promoted(workspace, "linear, text"))
    workspace.people.add("visitor", role="viewer")
    workspace.people.add("worker", role="contributor")
    visitor, worker = acting("visitor"), acting("worker")
    assert visitor.endpoints.get("late").name == "late"
    with pytest.raises(Forbidden, match="contributor"):
        visitor.endpoints.predict("late", [ROW])
    with pytest.raises(Forbidden, match="contributor"):
        visitor.endpoints.labels("late", [])
    assert worker.endpoints.predict("late", [ROW]).predictions
    with pytest.raises(Forbidden, match="maintainer"):
        worker.endpoints.deploy("late", "late/1")
