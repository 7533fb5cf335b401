"""The rules of the gate quality, as pure functions: which policy, which verdict, and why."""

import math
from typing import NamedTuple

from tidegate.gates.records import Against, Figures, GateVerdict, Metric, QualityPolicy
from tidegate.kernel.errors import Invalid
from tidegate.models.signature import Signature

_TITLES: dict[Metric, str] = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "mae": "mean absolute error",
}

_BASELINES: dict[Metric, str] = {
    "auc": "chance",
    "accuracy": "always the most frequent class",
    "log_loss": "always the shares of the classes",
    "mae": "always the median",
}


class Judgement(NamedTuple):
    """A verdict, the reason for it, and the improvement that had to be shown."""

    verdict: GateVerdict
    reason: str
    threshold: float


def default_policy(signature: Signature) -> QualityPolicy:
    """The policy for a model when none is given.

    Two classes are judged by AUC, more by accuracy, a regression by its mean absolute error; that is in the unit of
    the label, so nothing worse than the champion is let through until a policy names a margin.
    """
    if signature.task == "regression":
        return QualityPolicy(metric="mae", margin=0.0)
    return QualityPolicy(metric="auc" if len(signature.classes) == 2 else "accuracy")


def check_policy(policy: QualityPolicy) -> None:
    """Raise `Invalid` naming what is wrong with a policy."""
    for name, value in (("margin", policy.margin), ("must_beat", policy.must_beat)):
        if not math.isfinite(value) or value < 0:
            raise Invalid(f"{name} {value:g} must be 0 or more, in the unit of the metric", field=name)
    if not 0.5 <= policy.confidence < 1:
        raise Invalid(f"confidence {policy.confidence:g} must be from 0.5 to below 1, such as 0.95", field="confidence")
    if policy.minimum_rows < 2 or policy.minimum_class_rows < 2:
        raise Invalid("minimum_rows and minimum_class_rows must be 2 or more", field="minimum_rows")


def check_metric(policy: QualityPolicy, signature: Signature, reference: str) -> None:
    """Raise `Invalid` when the model's answers have no such metric."""
    if (policy.metric == "mae") != (signature.task == "regression"):
        fitting = "'mae'" if signature.task == "regression" else "'auc', 'accuracy' or 'log_loss'"
        raise Invalid(f"{reference} is a {signature.task}, which is judged by {fitting}", field="policy.metric")
    if policy.metric == "auc" and len(signature.classes) != 2:
        count = len(signature.classes)
        raise Invalid(f"AUC takes two classes and {reference} has {count}: use 'accuracy'", field="policy.metric")


def check_figures(figures: Figures) -> None:
    """Raise `Invalid` when figures contradict themselves."""
    if figures.n < 0 or figures.low > figures.high:
        raise Invalid("n may not be negative, and low may not lie above high", field="figures")


def judge(policy: QualityPolicy, against: Against, champion: str | None, figures: Figures) -> Judgement:
    """The verdict. Against the champion the bound itself is good enough; the baseline must be beaten."""
    better = against == "baseline"
    threshold = policy.must_beat if better else -policy.margin
    rival = f"the baseline ({_BASELINES[policy.metric]})" if better else str(champion)
    title = _TITLES[policy.metric]
    if figures.n < policy.minimum_rows:
        reason = f"{figures.n:,} rows are fewer than the {policy.minimum_rows:,} that the policy asks for"
        return Judgement("not_enough_data", reason, threshold)
    rarest = figures.rarest_class
    if policy.metric == "auc" and rarest is not None and rarest < policy.minimum_class_rows:
        reason = f"the rarer class has {rarest} rows, the policy asks for {policy.minimum_class_rows}"
        return Judgement("not_enough_data", reason, threshold)
    if not math.isfinite(figures.low) or not math.isfinite(figures.high):
        return Judgement("not_enough_data", f"these rows do not define the {title}", threshold)
    measured = (
        f"{title} {figures.candidate:.4g} against {figures.reference:.4g} of {rival}; improvement "
        f"{figures.estimate:+.4g} ({policy.confidence:.4g} interval {figures.low:+.4g} to {figures.high:+.4g}, "
        f"n = {figures.n:,}), to show: {'more than' if better else 'at least'} {threshold:+.4g}"
    )
    if figures.low > threshold or (figures.low == threshold and not better):
        return Judgement("pass", measured, threshold)
    if figures.high < threshold or (figures.high == threshold and better):
        return Judgement("fail", measured, threshold)
    return Judgement("not_enough_data", f"{measured}: the interval holds both, take more rows", threshold)
