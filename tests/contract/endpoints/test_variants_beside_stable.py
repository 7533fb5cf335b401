"""Canaries and shadows beside the stable deployment, locally, over the wire, over HTTP, and on PostgreSQL."""

from typing import TYPE_CHECKING

import pytest

import tidegate as tg
from tests.contract.endpoints.serving_home import ROW
from tests.contract.endpoints.test_endpoints_service import promoted
from tidegate.endpoints.records import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.workspace import Workspace


def test_variants_come_and_go(workspace: "Workspace", acting: "Callable[[str], Workspace]") -> None:
    endpoints = workspace.endpoints
    promoted(workspace, "linear, text")
    promoted(workspace, "boosting, text")
    with pytest.raises(tg.Refused, match="nothing is live behind endpoint late: a shadow never answers"):
        endpoints.deploy("late", "late/1", strategy=tg.shadow())
    first = endpoints.deploy("late", "late/1", strategy=tg.canary())
    assert (first.variant, first.share, first.state) == ("stable", None, "live"), "nothing is there yet: at once"
    assert not endpoints.get("late").outcome_independent
    assert endpoints.deploy("late", "late/1", outcome_independent=True) == first
    assert endpoints.get("late").outcome_independent
    assert endpoints.deploy("late", "late/1", strategy=tg.canary()) == first, "what answers already needs no canary"
    shadow = endpoints.deploy("late", "late/1", strategy=tg.shadow())
    canary = endpoints.deploy("late", "late/2", strategy=tg.canary([10, 100]))
    assert (canary.variant, canary.share, canary.strategy) == ("canary", 0.0, tg.canary([10, 100]))
    endpoint = endpoints.get("late")
    assert (endpoint.live, endpoint.canary, endpoint.shadows) == (first, canary, (shadow,))
    assert endpoints.list().items == [endpoint]
    assert workspace.models.resolve("late@champion").number == 1
    for strategy, independent in ((None, None), (tg.canary(), None), (tg.canary([10, 100]), False)):
        with pytest.raises(tg.Refused, match=r"late/2 is being rolled out.*tidegate endpoints withdraw late"):
            endpoints.deploy("late", "late/2", strategy=strategy, outcome_independent=independent)
    [answer] = endpoints.predict("late", [ROW]).predictions
    logged = workspace.predictions.get(answer.id)
    assert (answer.model, logged.weight) == ("late/1", None), "the canary waits for its rollout"
    assert [(one.variant, one.model, one.value) for one in logged.shadows] == [("shadow", "late/1", answer.value)]
    workspace.people.add("worker", role="contributor")
    with pytest.raises(tg.Forbidden, match="maintainer"):
        acting("worker").endpoints.withdraw("late", deployment="late/2")
    with pytest.raises(tg.NotFound, match=r"'late/7' names 0 canaries or shadows.*shadow late/1"):
        endpoints.withdraw("late", deployment="late/7")
    with pytest.raises(tg.NotFound, match="nowhere"):
        endpoints.withdraw("nowhere", deployment="late/7")
    assert endpoints.withdraw("late", deployment="late/2").id == canary.id
    assert endpoints.withdraw("late", deployment=shadow.id).state == "withdrawn"
    assert (endpoints.get("late").canary, endpoints.get("late").shadows) == (None, ())
    second = endpoints.deploy("late", "late/2")
    assert (second.variant, endpoints.get("late").outcome_independent) == ("stable", True)


def test_retirement_ends_all_variants(workspace: "Workspace") -> None:
    endpoints = workspace.endpoints
    for recipe in ("linear, text", "boosting, text"):
        promoted(workspace, recipe)
    endpoints.deploy("late", "late/1")
    endpoints.deploy("late", "late/2", strategy=tg.canary())
    endpoints.deploy("late", "late/2", strategy=tg.shadow())
    retired = endpoints.retire("late")
    assert (retired.live, retired.canary, retired.shadows) == (None, None, ())
    assert {one.state for one in endpoints.deployments("late").items} == {"retired"}
    revived = endpoints.deploy("late", "late/2", strategy=tg.canary())
    assert (revived.variant, endpoints.get("late").canary) == ("stable", None)


def test_what_cannot_be_judged_is_refused(workspace: "Workspace") -> None:
    endpoints = workspace.endpoints
    promoted(workspace, "regression", "delay")
    promoted(workspace, "regression, boosting", "delay")
    endpoints.deploy("delay", "delay/1")
    with pytest.raises(tg.Refused, match=r"delay/2 is a regression.*shadow"):
        endpoints.deploy("delay", "delay/2", strategy=tg.canary())
    assert endpoints.deploy("delay", "delay/2", strategy=tg.shadow()).variant == "shadow"
    for recipe in ("linear, text", "boosting, text"):
        promoted(workspace, recipe)
    with pytest.raises(tg.Refused, match="its labels would mix"):
        endpoints.deploy("delay", "late/1", strategy=tg.shadow())
    endpoints.deploy("late", "late/1")
    with pytest.raises(tg.Refused, match=r"split traffic.*step below 100"):
        endpoints.deploy("late", "late/2", strategy=tg.canary([100]))
    assert endpoints.deploy("late", "late/2", strategy=tg.canary([100]), outcome_independent=True).share == 0.0
    with pytest.raises(tg.Invalid, match="does not come after"):
        endpoints.deploy("late", "late/2", strategy=Strategy(kind="canary", steps=(50.0, 5.0, 100.0)))


def test_so_many_shadows_and_no_more(workspace: "Workspace") -> None:
    names = ["linear, text", "boosting, text", "forest", "no probabilities", "columns apart", "tuned threshold"]
    for recipe in names:
        promoted(workspace, recipe)
    workspace.endpoints.deploy("late", "late/1")
    for number in range(2, 6):
        workspace.endpoints.deploy("late", f"late/{number}", strategy=tg.shadow())
    with pytest.raises(tg.Refused, match="has 4 shadows already"):
        workspace.endpoints.deploy("late", "late/6", strategy=tg.shadow())
    [answer] = workspace.endpoints.predict("late", [ROW]).predictions
    logged = workspace.predictions.get(answer.id)
    assert [one.model for one in logged.shadows] == ["late/2", "late/3", "late/4", "late/5"]
    assert logged.shadows[2].probabilities is None
