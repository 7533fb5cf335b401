"""How every endpoint is doing, in one survey."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

from tidegate.endpoints.records import Deployment, Endpoint
from tidegate.endpoints.service import Endpoints
from tidegate.incidents.records import Incident, IncidentState
from tidegate.incidents.service import Incidents
from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.pages import MAX_PAGE, Page
from tidegate.loop.records import CanaryStatus, EndpointStatus, Health, Measure, RolloutOutcome, Status
from tidegate.loop.retraining import Retraining
from tidegate.monitors.records import Estimate, QualityWindow
from tidegate.monitors.service import Monitors
from tidegate.rollouts.records import Rollout
from tidegate.rollouts.service import Rollouts

T = TypeVar("T")

WINDOWS: Final = 60
"""So many newest windows of the live version are shown."""
MOST_EPISODES: Final = 100
"""So many open episodes are read at an endpoint."""

_UNRESOLVED: Final[tuple[IncidentState, ...]] = ("open", "acknowledged")
FEW_LABELS: Final = 30
"""Fewer say nothing: the interval of an accuracy is then wider than 0.3."""

_ORDER: Final[dict[Health, int]] = {"attention": 0, "waiting": 1, "good": 2}


class Rooms(NamedTuple):
    """Where the survey looks. It reads a few bounded pages an endpoint, and each open incident once."""

    endpoints: Endpoints
    monitors: Monitors
    rollouts: Rollouts
    incidents: Incidents
    retraining: Retraining


def survey(rooms: Rooms, clock: BusinessClock) -> Status:
    """Every live endpoint, those that need attention first; and the incidents that are of none."""
    incidents = _unresolved(rooms.incidents)
    found: list[EndpointStatus] = []
    for endpoint in _all(rooms.endpoints.list):
        if endpoint.live is not None:
            found.append(_describe(endpoint, endpoint.live, incidents.pop(endpoint.name, []), rooms))
    return Status(
        now=clock.now(),
        simulated_clock=hasattr(clock, "advance"),
        endpoints=tuple(sorted(found, key=lambda each: (_ORDER[each.health], each.endpoint))),
        incidents=_newest_first(each for rest in incidents.values() for each in rest),
    )


def _unresolved(incidents: Incidents) -> dict[str | None, list[Incident]]:
    """By endpoint. One that is acknowledged meanwhile is found once."""
    pages = [functools.partial(incidents.list, state=state) for state in _UNRESOLVED]
    found = {each.id: each for page in pages for each in _all(page)}
    by_endpoint: dict[str | None, list[Incident]] = {}
    for each in found.values():
        by_endpoint.setdefault(each.endpoint, []).append(each)
    return by_endpoint


def _newest_first(incidents: Iterable[Incident]) -> tuple[Incident, ...]:
    return tuple(sorted(incidents, key=lambda each: each.id, reverse=True))


def _all(page: Callable[..., Page[T]]) -> Iterator[T]:
    cursor: str | None = ""
    while cursor is not None:
        found = page(limit=MAX_PAGE, cursor=cursor)
        yield from found.items
        cursor = found.next


def _describe(endpoint: Endpoint, live: Deployment, incidents: list[Incident], rooms: Rooms) -> EndpointStatus:
    name = endpoint.name
    variants = 1 + len(endpoint.shadows) + (endpoint.canary is not None)
    newest_first = rooms.monitors.windows(name, limit=min(WINDOWS * variants, MAX_PAGE)).items
    windows = [each for each in newest_first if (each.model, each.variant) == (live.version, live.variant)]
    windows = windows[:WINDOWS][::-1]
    measures = [measure for measure in map(_measure, windows) if measure is not None]
    newest = windows[-1] if windows else None
    orphans = rooms.monitors.latest(name).orphans
    health, reason = judge(windows, measures, orphans, bool(incidents))
    rollouts = rooms.rollouts.list(endpoint=name, limit=2).items
    return EndpointStatus(
        endpoint=name,
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
        incidents=_newest_first(incidents),
        canary=canary_of(endpoint.canary, rollouts),
        shadows=tuple(each.version for each in endpoint.shadows),
        last_rollout=next((_outcome(each) for each in rollouts if each.state != "running"), None),
        episodes=tuple(rooms.monitors.episodes(name, open_only=True, limit=MOST_EPISODES).items),
        retraining=next(iter(rooms.retraining.decisions(name, limit=1).items), None),
    )


def canary_of(canary: Deployment | None, rollouts: list[Rollout]) -> CanaryStatus | None:
    """How far a canary has come, by the rollout that bears its id; none has as long as no controller has seen it."""
    if canary is None:
        return None
    rollout = next((each for each in rollouts if each.id == canary.id and each.state == "running"), None)
    return CanaryStatus(
        version=canary.version,
        share=rollout.share if rollout else 0.0,
        steps=canary.strategy.steps,
        rows=rollout.rows if rollout else 0,
        labels=rollout.labels if rollout else 0,
        waits_for=rollout.reason if rollout else "its rollout has not begun",
        since=canary.created_at,
        by=canary.by,
    )


def _outcome(rollout: Rollout) -> RolloutOutcome:
    return RolloutOutcome(
        rollout=rollout.id,
        version=rollout.version,
        state=rollout.state,
        rows=rollout.rows,
        days=rollout.days,
        reason=rollout.reason,
        decided_at=rollout.decided_at,
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


def judge(windows: list[QualityWindow], measures: list[Measure], orphans: int, incidents: bool) -> tuple[Health, str]:
    """Only what is certain: answers that failed, labels without a prediction, a score no better than chance, incidents.

    The reason is empty where the incidents say all. Nothing is called good on a few labels.
    """
    failed = sum(each.failed for each in windows)
    if failed:
        return "attention", f"{failed:,} predictions have no usable answer"
    if orphans:
        return "attention", f"{orphans:,} labels name predictions that nobody has seen"
    newest = measures[-1] if measures else None
    if newest is not None and newest.metric == "AUC" and newest.high is not None and newest.high < 0.5:
        return "attention", f"the newest window's AUC of {newest.value:.2f} is worse than chance"
    if incidents:
        return "attention", ""
    return ("good" if sum(each.labels for each in measures) >= FEW_LABELS else "waiting"), ""
