"""How every endpoint is doing, in one survey."""

import math

from tidegate.endpoints.records import Deployment, Endpoint
from tidegate.endpoints.service import Endpoints
from tidegate.loop.records import EndpointStatus, Health, Measure
from tidegate.monitors.records import Estimate, QualityWindow
from tidegate.monitors.service import Monitors

_WINDOWS = 60
"""So many newest windows are shown."""

_ORDER: dict[Health, int] = {"attention": 0, "waiting": 1, "good": 2}


def survey(endpoints: Endpoints, monitors: Monitors) -> tuple[EndpointStatus, ...]:
    """Every live endpoint; those that need attention first."""
    found: list[EndpointStatus] = []
    cursor = ""
    while True:
        page = endpoints.list(limit=1000, cursor=cursor)
        found += [_describe(each, each.live, monitors) for each in page.items if each.live is not None]
        if page.next is None:
            return tuple(sorted(found, key=lambda each: (_ORDER[each.health], each.endpoint)))
        cursor = page.next


def _describe(endpoint: Endpoint, live: Deployment, monitors: Monitors) -> EndpointStatus:
    newest_first = monitors.windows(endpoint.name, limit=_WINDOWS).items
    windows = [each for each in newest_first if (each.model, each.variant) == (live.version, live.variant)]
    windows.reverse()
    measures = [measure for measure in map(_measure, windows) if measure is not None]
    newest = windows[-1] if windows else None
    orphans = monitors.latest(endpoint.name).orphans
    health, reason = _judge(windows, measures, orphans)
    return EndpointStatus(
        endpoint=endpoint.name,
        model=live.version,
        variant=live.variant,
        deployed_at=live.created_at,
        deployed_by=live.by,
        predictions=sum(each.predictions for each in windows),
        labels=sum(each.labels for each in windows),
        latency_p50_ms=newest.latency_p50 / 1000 if newest else None,
        latency_p95_ms=newest.latency_p95 / 1000 if newest else None,
        quality=measures[-1] if measures else None,
        history=tuple(measures),
        volume=tuple(each.predictions for each in windows),
        windows=tuple(each.start for each in windows),
        window_seconds=round((newest.end - newest.start).total_seconds()) if newest else 0,
        unknown_categories=sum(sum(each.unknown.values()) for each in windows),
        missing_features=sum(sum(each.missing.values()) for each in windows),
        health=health,
        reason=reason,
    )


def _measure(window: QualityWindow) -> Measure | None:
    """The figure that says most of this window: AUC, else accuracy, else the error of a regression."""
    candidates: list[tuple[str, Estimate | None]] = [
        ("AUC", window.auc),
        ("accuracy", window.accuracy),
        ("mean absolute error", window.mae),
    ]
    for metric, estimate in candidates:
        if estimate is not None:
            return Measure(
                metric=metric,
                value=estimate.value,
                low=None if math.isnan(estimate.low) else estimate.low,
                high=None if math.isnan(estimate.high) else estimate.high,
                labels=window.labels,
                start=window.start,
                end=window.end,
            )
    return None


def _judge(windows: list[QualityWindow], measures: list[Measure], orphans: int) -> tuple[Health, str]:
    """Only what is certain: answers that failed, labels without a prediction, a score no better than chance."""
    failed = sum(each.failed for each in windows)
    if failed:
        return "attention", f"{failed:,} predictions have no usable answer"
    if orphans:
        return "attention", f"{orphans:,} labels name predictions that nobody has seen"
    newest = measures[-1] if measures else None
    if newest is None:
        return "waiting", ""
    if newest.metric == "AUC" and newest.high is not None and newest.high < 0.5:
        return "attention", f"the newest window's AUC of {newest.value:.2f} is worse than chance"
    return "good", ""
