"""The verdict of the gate quality: three values, each with its figures."""

import math

import numpy as np
import pytest
from scipy import stats

from tidegate.gates import rules
from tidegate.gates.records import Against, Figures, GateVerdict, Metric, QualityPolicy
from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column
from tidegate.models.signature import Label, Signature
from tidegate.statistics import intervals


def figures(low: float, high: float, n: int = 1000, rarest: int = 300) -> Figures:
    return Figures(
        n=n, rarest_class=rarest, candidate=0.8, reference=0.8, estimate=(low + high) / 2, low=low, high=high
    )


@pytest.mark.parametrize(
    ("against", "low", "high", "expected"),
    [
        ("champion", -0.009, 0.02, "pass"),
        ("champion", -0.01, 0.02, "pass"),
        ("champion", 0.0, 0.0, "pass"),
        ("champion", -0.011, 0.02, "not_enough_data"),
        ("champion", -0.05, -0.011, "fail"),
        ("baseline", 0.001, 0.2, "pass"),
        ("baseline", 0.0, 0.2, "not_enough_data"),
        ("baseline", 0.0, 0.0, "fail"),
        ("baseline", -0.2, -0.01, "fail"),
        ("baseline", math.nan, math.nan, "not_enough_data"),
    ],
)
def test_the_bound_of_the_interval_decides(against: Against, low: float, high: float, expected: GateVerdict) -> None:
    found = rules.judge(QualityPolicy(metric="auc"), against, "late/1", figures(low, high))
    assert found.verdict == expected
    assert found.threshold == (0.0 if against == "baseline" else -0.01)


def test_few_rows_are_not_judged_and_the_reason_says_so() -> None:
    policy = QualityPolicy(metric="auc")
    few = rules.judge(policy, "baseline", None, figures(0.2, 0.3, n=199))
    assert (few.verdict, few.reason) == (
        "not_enough_data",
        "199 rows are fewer than the 200 that the policy asks for",
    )
    rare = rules.judge(policy, "baseline", None, figures(0.2, 0.3, rarest=19))
    assert (rare.verdict, rare.reason) == ("not_enough_data", "the rarer class has 19 rows, the policy asks for 20")


def test_the_reason_holds_every_figure() -> None:
    reason = rules.judge(QualityPolicy(metric="accuracy"), "champion", "late/1", figures(-0.05, -0.02)).reason
    for part in ("accuracy", "late/1", "-0.05", "-0.02", "n = 1,000", "0.95", "-0.01"):
        assert part in reason


def test_a_margin_that_nobody_named_lets_no_worse_regression_through() -> None:
    signature = Signature(columns=(Column("x", "number", False),), task="regression")
    assert rules.default_policy(signature) == QualityPolicy(metric="mae", margin=0.0)


@pytest.mark.parametrize(("classes", "metric"), [((0, 1), "auc"), ((0, 1, 2), "accuracy")])
def test_the_metric_follows_the_classes(classes: tuple[Label, ...], metric: Metric) -> None:
    signature = Signature(columns=(Column("x", "number", False),), task="classification", classes=classes)
    policy = rules.default_policy(signature)
    assert policy.metric == metric
    rules.check_metric(policy, signature, "late/1")
    with pytest.raises(Invalid, match="judged by"):
        rules.check_metric(QualityPolicy(metric="mae"), signature, "late/1")
    if metric != "auc":
        with pytest.raises(Invalid, match="two classes"):
            rules.check_metric(QualityPolicy(metric="auc"), signature, "late/1")


@pytest.mark.parametrize(
    "policy",
    [
        QualityPolicy(metric="auc", margin=-0.1),
        QualityPolicy(metric="auc", must_beat=math.inf),
        QualityPolicy(metric="auc", confidence=0.4),
        QualityPolicy(metric="auc", minimum_rows=1),
    ],
)
def test_a_policy_that_means_nothing_is_refused(policy: QualityPolicy) -> None:
    with pytest.raises(Invalid):
        rules.check_policy(policy)


def test_figures_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(Invalid):
        rules.check_figures(figures(0.2, 0.1))


@pytest.mark.parametrize(("worse", "n"), [(0.01, 500), (0.01, 2000)])
def test_a_model_worse_by_the_margin_passes_seldom(worse: float, n: int) -> None:
    """A naive `candidate > champion` promoted such a model in 21.5 % of the trials."""
    rng = np.random.default_rng(11)
    trials, passed = 1000, 0
    for _ in range(trials):
        draw = rng.random(n)
        lost, gained = draw < 0.05 + worse / 2, draw > 1 - (0.05 - worse / 2)
        champion = lost | (~gained & (rng.random(n) < 0.7))
        candidate = gained | (~lost & champion)
        interval = intervals.proportion_difference(candidate, champion)
        measured = Figures(n=n, candidate=0.0, reference=0.0, **interval._asdict())
        passed += rules.judge(QualityPolicy(metric="accuracy"), "champion", "c/1", measured).verdict == "pass"
    assert passed <= stats.binom.ppf(0.9999, trials, 0.025)
