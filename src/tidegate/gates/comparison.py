"""Compares the answers of a version with those of the champion, or with the best constant, on the same rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.gates.records import Figures, HeldOut, QualityPolicy
from tidegate.kernel.errors import Invalid, Refused
from tidegate.models.formats.protocol import Outputs
from tidegate.models.loading import LoadedModel
from tidegate.models.signature import Label, Signature
from tidegate.statistics import intervals, metrics
from tidegate.statistics.intervals import Interval

Floats = NDArray[np.float64]


def compare(policy: QualityPolicy, on: HeldOut, candidate: LoadedModel, champion: LoadedModel | None) -> Figures:
    """The figures of a comparison; without a champion against the best constant answer, known only in hindsight.

    Raises `Invalid` for rows that the models do not take, `Refused` for a model whose answers are not numbers.
    """
    if policy.metric == "mae":
        return _compare_regressions(policy, on, candidate, champion)
    truth = _indexes(on.y, candidate.signature)
    own = _answers(candidate, on)
    if champion is not None and champion.signature.classes != candidate.signature.classes:
        raise Invalid(
            f"{champion.version.reference} and {candidate.version.reference} know other classes "
            f"({champion.signature.classes} and {candidate.signature.classes}): nothing can be compared"
        )
    rival = None if champion is None else (_answers(champion, on), champion)
    if policy.metric == "accuracy":
        return _compare_accuracy(policy, truth, (own, candidate), rival)
    if policy.metric == "auc":
        return _compare_auc(policy, truth, (own, candidate), rival)
    return _compare_log_loss(policy, truth, (own, candidate), rival)


Answered = tuple[Outputs, LoadedModel]


def _compare_accuracy(policy: QualityPolicy, truth: NDArray[np.intp], own: Answered, rival: Answered | None) -> Figures:
    first = metrics.hits(truth, _classes(own))
    most = np.bincount(truth).argmax() if len(truth) else 0
    second = metrics.hits(truth, _classes(rival) if rival is not None else np.full(len(truth), most))
    interval = intervals.proportion_difference(first, second, policy.confidence)
    return _figures(truth, metrics.mean_of(first), metrics.mean_of(second), interval)


def _compare_auc(policy: QualityPolicy, truth: NDArray[np.intp], own: Answered, rival: Answered | None) -> Figures:
    positive, scores = truth == 1, _probabilities(own)[:, 1]
    area = metrics.auc(positive, scores)
    if rival is None:
        single = intervals.auc_interval(positive, scores, policy.confidence)
        above = Interval(single.estimate - 0.5, single.low - 0.5, single.high - 0.5)
        return _figures(truth, area, 0.5, above)
    others = _probabilities(rival)[:, 1]
    interval = intervals.auc_difference(positive, scores, others, policy.confidence)
    return _figures(truth, area, metrics.auc(positive, others), interval)


def _compare_log_loss(policy: QualityPolicy, truth: NDArray[np.intp], own: Answered, rival: Answered | None) -> Figures:
    first = metrics.log_losses(truth, _probabilities(own))
    if rival is not None:
        second = metrics.log_losses(truth, _probabilities(rival))
    else:
        count = len(own[1].signature.classes)
        shares = np.bincount(truth, minlength=count) / max(1, len(truth))
        second = metrics.log_losses(truth, np.tile(shares, (len(truth), 1)))
    interval = intervals.mean_difference(second, first, policy.confidence)
    return _figures(truth, metrics.mean_of(first), metrics.mean_of(second), interval)


def _compare_regressions(
    policy: QualityPolicy, on: HeldOut, candidate: LoadedModel, champion: LoadedModel | None
) -> Figures:
    truth = np.asarray(on.y, dtype=np.float64)
    first = metrics.absolute_errors(truth, _numbers(_answers(candidate, on).values, candidate))
    if champion is not None:
        second = metrics.absolute_errors(truth, _numbers(_answers(champion, on).values, champion))
    else:
        second = metrics.absolute_errors(truth, np.full(len(truth), np.median(truth) if len(truth) else 0.0))
    interval = intervals.mean_difference(second, first, policy.confidence)
    return Figures(
        n=len(truth), candidate=metrics.mean_of(first), reference=metrics.mean_of(second), **interval._asdict()
    )


def _figures(truth: NDArray[np.intp], candidate: float, reference: float, interval: Interval) -> Figures:
    rarest = int(np.bincount(truth, minlength=2).min()) if len(truth) else 0
    return Figures(n=len(truth), rarest_class=rarest, candidate=candidate, reference=reference, **interval._asdict())


def _answers(model: LoadedModel, on: HeldOut) -> Outputs:
    frame = getattr(on, "labelled", None)
    if frame is None:
        frame = getattr(on, "frame", None)
    if frame is None:
        return model.predict(np.ascontiguousarray(on.X, dtype=np.float32))
    if len(frame) != len(on.y):
        raise Invalid(f"the frame has {len(frame):,} rows and there are {len(on.y):,} labels: leave the others out")
    try:
        return model.predict(frame)
    except Invalid as error:
        raise Invalid(f"{model.version.reference} cannot be judged on these rows: {error.message}") from error


def _indexes(labels: NDArray[Any], signature: Signature) -> NDArray[np.intp]:
    places = {label: place for place, label in enumerate(signature.classes)}
    try:
        return np.array([places[label] for label in labels.tolist()], dtype=np.intp)
    except KeyError as error:
        known = ", ".join(repr(label) for label in signature.classes[:8])
        raise Invalid(f"the rows hold the label {error}, which the model does not know; it knows {known}") from error


def _classes(answered: Answered) -> NDArray[np.intp]:
    outputs, model = answered
    return _indexes(np.array(outputs.values, dtype=object), model.signature)


def _probabilities(answered: Answered) -> Floats:
    outputs, model = answered
    if outputs.probabilities is None:
        raise Invalid(
            f"{model.version.reference} answers no probabilities, which this metric takes: "
            "use QualityPolicy(metric='accuracy')",
            field="policy.metric",
        )
    table = np.asarray(outputs.probabilities, dtype=np.float64)
    _refuse_gaps(np.asarray(np.isnan(table).any(axis=1)), model)
    return table


def _numbers(values: list[Label], model: LoadedModel) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    _refuse_gaps(~np.isfinite(array), model)
    return array


def _refuse_gaps(gaps: NDArray[np.bool_], model: LoadedModel) -> None:
    if gaps.any():
        raise Refused(
            f"{model.version.reference} answers no number to {int(gaps.sum()):,} of {len(gaps):,} rows "
            f"(the first is row {int(gaps.argmax())}): it cannot be judged on them",
            version=model.version.reference,
        )
