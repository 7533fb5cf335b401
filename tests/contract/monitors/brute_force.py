"""Windows of quality computed the slow, plain way, from all rows and labels at once, without a line of the room."""

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from tidegate.kernel.clock import from_micros
from tidegate.monitors.records import QualityWindow
from tidegate.predictions.records import LabelRow, PredictionRow, Value

Key = tuple[str, str, str, int]
"""Endpoint, model version, variant, start of the window in microseconds."""


def windows_of(
    rows: Iterable[PredictionRow], labels: Iterable[LabelRow], seconds: dict[str, int]
) -> dict[Key, dict[str, Any]]:
    """What each window must say; figures that are not defined are absent."""
    holding = holding_of(labels)
    groups: dict[Key, dict[str, PredictionRow]] = {}
    for row in rows:
        length = seconds.get(row.source.endpoint, 86_400) * 1_000_000
        start = math.floor(row.at / length) * length
        for variant, each in [(row.source.variant, row), *(("shadow", one) for one in in_shadow(row))]:
            key = row.source.endpoint, f"{each.source.model}/{each.source.number}", variant, start
            groups.setdefault(key, {}).setdefault(row.id, each)
    return {key: _figures(list(group.values()), holding) for key, group in groups.items()}


def in_shadow(row: PredictionRow) -> list[PredictionRow]:
    """What others answered, as if they had been asked."""
    return [
        PredictionRow(row.id, row.at, one.source, b"", one.value, one.probabilities, latency=-1)
        for one in row.shadows or ()
    ]


def orphans_of(rows: Iterable[PredictionRow], labels: Iterable[LabelRow]) -> dict[str, int]:
    """How many labels of each endpoint name no prediction of it."""
    known = {(row.source.endpoint, row.id) for row in rows}
    lost = {(label.endpoint, label.prediction_id) for label in labels} - known
    endpoints = [endpoint for endpoint, _ in lost]
    return {endpoint: endpoints.count(endpoint) for endpoint in endpoints}


def shown(windows: Iterable[QualityWindow]) -> dict[Key, dict[str, Any]]:
    """Windows of the room in the same form."""
    found: dict[Key, dict[str, Any]] = {}
    for window in windows:
        start = round(window.start.timestamp() * 1_000_000)
        said: dict[str, Any] = {
            "predictions": window.predictions,
            "failed": window.failed,
            "labels": window.labels,
            "unusable": window.unusable,
            "latencies": (window.latency_p50, window.latency_p95),
            "unknown": window.unknown,
            "missing": window.missing,
        }
        for name in ("accuracy", "auc", "log_loss", "brier", "mae", "score", "positives"):
            estimate = getattr(window, name)
            if estimate is not None:
                said[name] = (estimate.value, estimate.n)
        found[window.endpoint, window.model, window.variant, start] = said
        assert window.start == from_micros(start)
    return found


def holding_of(labels: Iterable[LabelRow]) -> dict[tuple[str, str], LabelRow]:
    """The label that holds, of every prediction."""
    holding: dict[tuple[str, str], LabelRow] = {}
    for label in labels:
        key = label.endpoint, label.prediction_id
        if key not in holding or _rank(label) > _rank(holding[key]):
            holding[key] = label
    return holding


def _rank(label: LabelRow) -> tuple[int, int, str]:
    odd = isinstance(label.value, float) and not math.isfinite(label.value)
    return label.observed_at, label.received_at, "" if odd else msgspec.json.encode(label.value).decode()


def _odd(value: Value | None) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _figures(rows: list[PredictionRow], holding: dict[tuple[str, str], LabelRow]) -> dict[str, Any]:
    labelled = [(row, holding[key].value) for row in rows if (key := (row.source.endpoint, row.id)) in holding]
    failed = [row for row in rows if _odd(row.value) or row.status != "ok"]
    latencies: list[float] = [row.latency for row in sorted(rows, key=lambda row: row.latency) if row.latency >= 0]
    latencies = latencies or [math.nan]
    classes = rows[0].source.classes
    judged = [(row, truth) for row, truth in labelled if row not in failed]
    if not classes:
        judged = [(row, truth) for row, truth in judged if not isinstance(truth, str) and math.isfinite(truth)]
    said: dict[str, Any] = {
        "predictions": len(rows),
        "failed": len(failed),
        "labels": len(labelled),
        "unusable": len(labelled) - len(judged),
        "latencies": (_quantile(latencies, 0.5), _quantile(latencies, 0.95)),
        "unknown": _sum(row.unknown for row in rows),
        "missing": _sum(row.missing for row in rows),
    }
    answered = [row for row in rows if row not in failed]
    numbers = [float(row.value) for row in answered if row.value is not None] if not classes else []
    if len(classes) == 2:
        shares = [row.probabilities[1] for row in answered if row.probabilities]
        numbers = [share for share in shares if math.isfinite(share)]
        if answered:
            said["positives"] = (sum(row.value == classes[1] for row in answered) / len(answered), len(answered))
    if numbers:
        said["score"] = (sum(numbers) / len(numbers), len(numbers))
    if judged and not classes:
        errors = [abs(float(row.value) - float(truth)) for row, truth in judged if row.value is not None]
        said["mae"] = (sum(errors) / len(errors), len(errors))
    if judged and classes:
        said["accuracy"] = (sum(row.value == truth for row, truth in judged) / len(judged), len(judged))
    if len(classes) == 2:
        said |= _of_scores(
            [
                (float(truth == classes[1]), row.probabilities[1])
                for row, truth in judged
                if truth in classes and row.probabilities and math.isfinite(row.probabilities[1])
            ]
        )
    return said


def _of_scores(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    if not pairs:
        return {}
    n = len(pairs)
    chances = [score if truth else 1 - score for truth, score in pairs]
    said = {
        "log_loss": (sum(-math.log(max(chance, 2.0**-23)) for chance in chances) / n, n),
        "brier": (sum((score - truth) ** 2 for truth, score in pairs) / n, n),
    }
    above = [score for truth, score in pairs if truth]
    below = [score for truth, score in pairs if not truth]
    if above and below:
        won = sum((a > b) + 0.5 * (a == b) for a in above for b in below)
        said["auc"] = (won / (len(above) * len(below)), n)
    return said


def _quantile(ordered: list[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


def _sum(tallies: Iterable[dict[str, int] | None]) -> dict[str, int]:
    total: dict[str, int] = {}
    for tally in tallies:
        for name, count in (tally or {}).items():
            total[name] = total.get(name, 0) + count
    return total
