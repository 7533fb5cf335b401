"""The gate quality on real models, seen in four ways: baseline, champion, few rows, and what is kept of it."""

import math
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score

from tests.contract.models.late_models import FEATURES, flights, late_rows, logged
from tidegate.data.rows import Rows
from tidegate.gates.records import Figures, QualityPolicy
from tidegate.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from tidegate.lineage.records import Node
from tidegate.lineage.store import LineageGraph
from tidegate.models.records import ModelVersion
from tidegate.models.rules import digest_of
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace


def noise(workspace: Workspace, train: Rows, name: str = "late-arrival") -> ModelVersion:
    """A model that answers the same to every row."""
    return workspace.models.log(name, DummyClassifier(strategy="prior").fit(train.X, train.y), inputs=train)


def test_the_first_version_is_held_against_a_constant(home: Home) -> None:
    workspace = home.workspace
    train, held_out = late_rows(workspace)
    version = logged(workspace, train)
    report = workspace.gates.check(version, on=held_out).require()
    assert (report.verdict, report.plan.against, report.plan.champion) == ("pass", "baseline", None)
    truth = roc_auc_score(held_out.y, workspace.models.load(version).predict(held_out.X).probabilities[:, 1])  # type: ignore[index]
    assert report.figures.candidate == pytest.approx(truth, abs=1e-9)
    assert 0 < report.figures.low < report.figures.estimate < report.figures.high < 0.5
    assert (report.figures.n, report.plan.dataset) == (len(held_out), held_out.digest)
    assert report.plan.policy_digest == digest_of(report.plan.policy)
    assert report.plan.planned_at <= report.at
    attested = workspace.models.attestations("late-arrival", 1).items
    assert [(one.kind, one.verdict, one.policy_digest) for one in attested] == [
        ("gate:quality", "pass", report.plan.policy_digest)
    ]
    assert attested[0].evidence["report"] == report.id
    into = LineageGraph(home.inside.storage.catalog).into(Node("model", version.digest))
    assert [edge.role for edge in into] == ["held-out", "training"]


def test_a_model_that_knows_nothing_does_not_pass(workspace: Workspace) -> None:
    train, held_out = late_rows(workspace)
    report = workspace.gates.check(noise(workspace, train), on=held_out)
    assert report.verdict != "pass"
    with pytest.raises(Refused, match="does not pass the gate quality") as caught:
        report.require()
    assert caught.value.details["report"] == report.id
    with pytest.raises(Refused, match="gate:quality says"):
        workspace.models.promote("late-arrival", 1, to="production")


def test_later_versions_are_held_against_the_champion(workspace: Workspace) -> None:
    train, held_out = late_rows(workspace, 4000)
    champion, rival, worse = (logged(workspace, train, strength=one) for one in (1.0, 0.5, 1e-7))
    nothing = noise(workspace, train)
    workspace.models.set_alias("late-arrival", "champion", number=champion.number)
    equal = workspace.gates.check(rival, on=held_out)
    assert (equal.verdict, equal.plan.against, equal.plan.champion) == ("pass", "champion", "late-arrival/1")
    assert equal.plan.champion_digest == champion.digest
    assert abs(equal.figures.estimate) < 0.005
    bad = workspace.gates.check(nothing, on=held_out)
    assert bad.verdict == "fail"
    assert bad.figures.high < -0.1
    loss = workspace.gates.check(worse, on=held_out, policy=QualityPolicy(metric="log_loss", margin=0.001))
    assert loss.verdict == "fail"
    own = workspace.gates.check(champion, on=held_out)
    assert own.plan.against == "baseline", "a champion is not held against itself"


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "auc"])
def test_every_metric_of_a_classification_is_judged(workspace: Workspace, metric: Any) -> None:
    train, held_out = late_rows(workspace)
    version = logged(workspace, train)
    report = workspace.gates.check(version, on=held_out, policy=QualityPolicy(metric=metric))
    assert report.passed
    predicted = workspace.models.load(version).predict(held_out.X)
    if metric == "accuracy":
        share = np.mean(np.array(predicted.values) == held_out.y)
        most = max(np.mean(held_out.y), 1 - np.mean(held_out.y))
        assert (report.figures.candidate, report.figures.reference) == pytest.approx((share, most))


def test_a_regression_is_judged_by_its_absolute_error(workspace: Workspace) -> None:
    frame = flights(1000, 3).with_columns(delay=np.random.default_rng(4).normal(size=1000))
    workspace.data.commit("delays", frame.with_columns(delay=frame["delay"] + frame["wind"]))
    rows = workspace.data.rows("delays", features=FEATURES, label="delay", order_by="minute")
    train, held_out = rows.split(at=500)
    version = workspace.models.log("delay", LinearRegression().fit(train.X, train.y), inputs=train)
    report = workspace.gates.check("delay", on=held_out).require()
    assert report.plan.policy.metric == "mae"
    assert report.figures.candidate == pytest.approx(0.8, abs=0.1)
    assert report.figures.reference > 4
    assert report.figures.rarest_class is None
    with pytest.raises(Invalid, match="judged by 'mae'"):
        workspace.gates.check(version, on=held_out, policy=QualityPolicy(metric="auc"))


def test_few_rows_are_not_enough_data(workspace: Workspace) -> None:
    train, held_out = late_rows(workspace)
    few, _ = held_out.split(at=100)
    report = workspace.gates.check(logged(workspace, train), on=few)
    assert (report.verdict, report.figures.n) == ("not_enough_data", 100)
    assert "100 rows are fewer than the 200" in report.reason


def test_rows_of_one_class_define_no_auc(home: Home) -> None:
    workspace = home.workspace
    train, held_out = late_rows(workspace, 2400)
    version = logged(workspace, train)

    class OneClass:
        X, digest, lineage = held_out.X, "ab" * 32, held_out.lineage
        y = np.zeros(len(held_out), dtype=bool)

    policy = QualityPolicy(metric="auc")
    report = workspace.gates.check(version, on=OneClass(), policy=policy)
    assert report.verdict == "not_enough_data"
    assert math.isnan(report.figures.estimate)
    kept = workspace.gates.get(report.id)
    assert math.isnan(kept.figures.low)
    assert kept.reason == report.reason


def test_the_training_rows_are_refused_and_strange_rows_named(workspace: Workspace) -> None:
    train, _ = late_rows(workspace)
    version = logged(workspace, train)
    with pytest.raises(Refused, match="trained on exactly these rows"):
        workspace.gates.check(version, on=train)
    workspace.data.commit("other", flights(400, 5).rename({"wind": "gust"}))
    other = workspace.data.rows("other", features=["gust"], label="late")
    with pytest.raises(Invalid, match=r"late-arrival/1 cannot be judged on these rows: .*'wind'"):
        workspace.gates.check(version, on=other)
    assert [plan.version for plan in workspace.gates.unfinished("late-arrival/1")] == ["late-arrival/1"]
    workspace.data.commit("texts", flights(400, 6).with_columns(pl.lit("maybe").alias("late")))
    texts = workspace.data.rows("texts", features=FEATURES, label="late")
    with pytest.raises(Invalid, match="'maybe', which the model does not know"):
        workspace.gates.check(version, on=texts)


def test_the_home_draws_the_verdict_itself_and_a_plan_takes_one_report(home: Home) -> None:
    workspace = home.workspace
    train, held_out = late_rows(workspace)
    version = logged(workspace, train)
    policy = QualityPolicy(metric="auc")
    plan = workspace.gates.plan("late-arrival", dataset=held_out.digest, policy=policy)
    assert workspace.gates.unfinished("late-arrival") == (plan,)
    with pytest.raises(NotFound, match="never reported"):
        workspace.gates.get(plan.id)
    weak = Figures(n=1000, rarest_class=400, candidate=0.4, reference=0.5, estimate=-0.1, low=-0.2, high=-0.05)
    workspace.people.add("max", role="contributor")
    with pytest.raises(Forbidden, match=r"plan .* is local's"):
        home.acting("max").gates.record(plan.id, figures=weak)
    with pytest.raises(Invalid, match="low may not lie above high"):
        workspace.gates.record(plan.id, figures=msgspec.structs.replace(weak, low=0.9))
    assert workspace.gates.record(plan.id, figures=weak).verdict == "fail"
    with pytest.raises(Conflict, match="has its report already"):
        workspace.gates.record(plan.id, figures=msgspec.structs.replace(weak, low=0.1, estimate=0.2, high=0.3))
    assert [one.verdict for one in workspace.models.attestations(version.name, 1).items] == ["fail"]
    assert workspace.gates.unfinished("late-arrival") == ()
    with pytest.raises(NotFound):
        workspace.gates.get("0" * 12 + "7" + "0" * 3 + "8" + "0" * 15)
    with pytest.raises(Invalid, match="confidence"):
        workspace.gates.plan("late-arrival", dataset="", policy=QualityPolicy(metric="auc", confidence=2))


def test_reports_come_newest_first_in_pages(workspace: Workspace) -> None:
    train, held_out = late_rows(workspace)
    first, second = logged(workspace, train), logged(workspace, train, strength=0.1)
    made = [workspace.gates.check(one, on=held_out).id for one in (first, second, first)]
    page = workspace.gates.list(limit=2)
    assert [one.id for one in page.items] == [made[2], made[1]]
    assert page.next is not None
    assert [one.id for one in workspace.gates.list(limit=2, cursor=page.next).items] == [made[0]]
    assert [one.id for one in workspace.gates.list(version=second.reference).items] == [made[1]]


def test_a_champion_of_other_classes_or_without_probabilities_is_named(workspace: Workspace) -> None:
    train, held_out = late_rows(workspace)
    words = np.where(train.y, "late", "on time")
    workspace.models.log("late-arrival", LogisticRegression().fit(train.X, words), inputs=train)
    workspace.models.set_alias("late-arrival", "champion", number=1)
    version = logged(workspace, train)
    with pytest.raises(Invalid, match="know other classes"):
        workspace.gates.check(version, on=held_out)
