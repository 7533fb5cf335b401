"""The demo's summary: what the rooms kept of the year, as the report tells it."""

from collections.abc import Callable
from typing import TypeVar

from tidegate.demo.report import DemoEpisode, DemoIncident, DemoRetraining, DemoRollout, DemoVersion, Step
from tidegate.demo.training import ENDPOINT, MODEL
from tidegate.governance.records import AuditEntry
from tidegate.kernel.clock import Instant
from tidegate.kernel.pages import Page
from tidegate.models.records import APPROVAL, ModelVersion
from tidegate.rollouts.records import Rollout
from tidegate.workspace import Workspace

T = TypeVar("T")


def rollouts_of(ws: Workspace) -> tuple[DemoRollout, ...]:
    """Every canary, the oldest first."""
    return tuple(map(_rollout, reversed(_all(lambda cursor: ws.rollouts.list(endpoint=ENDPOINT, cursor=cursor)))))


def versions_of(ws: Workspace) -> tuple[DemoVersion, ...]:
    """Every version of the model, the oldest first."""
    moves = _all(lambda cursor: ws.audit.list(operation="models.promote", cursor=cursor))
    versions = _all(lambda cursor: ws.models.versions(MODEL, cursor=cursor))
    return tuple(_version(ws, version, moves) for version in reversed(versions))


def episodes_of(ws: Workspace) -> tuple[DemoEpisode, ...]:
    """Every episode, the oldest first."""
    return tuple(
        DemoEpisode(
            kind=each.kind,
            column=each.column,
            opened=each.opened,
            closed=each.closed,
            severity=each.severity,
            diagnosis=each.diagnosis,
            summary=each.summary,
        )
        for each in reversed(_all(lambda cursor: ws.monitors.episodes(ENDPOINT, cursor=cursor)))
    )


def incidents_of(ws: Workspace) -> tuple[DemoIncident, ...]:
    """Every incident, the oldest first."""
    return tuple(
        DemoIncident(
            title=each.title,
            state=each.state,
            opened_at=each.opened_at,
            resolved_at=each.resolved_at,
            automatic=each.automatic,
            what_to_do=each.what_to_do,
        )
        for each in reversed(_all(lambda cursor: ws.incidents.list(cursor=cursor)))
    )


def retrainings_of(ws: Workspace) -> tuple[DemoRetraining, ...]:
    """Every decision to train anew or not to, the oldest first."""
    return tuple(
        DemoRetraining(at=each.at, fired=each.fired, proposal=each.proposal, reason=each.reason, summary=each.summary)
        for each in reversed(_all(lambda cursor: ws.retraining.decisions(ENDPOINT, cursor=cursor)))
    )


def months_table(months: dict[str, dict[str, float]]) -> str:
    """AUC by month as a small table."""
    lines = ["AUC by month      first model   as served   gain"]
    for month, static in months["static"].items():
        served = months["retrained"][month]
        lines.append(f"{month}           {static:.3f}         {served:.3f}       {served - static:+.3f}")
    return "\n".join(lines)


def _rollout(kept: Rollout) -> DemoRollout:
    return DemoRollout(
        version=kept.version,
        against=kept.stable,
        outcome=kept.state,
        reason=kept.reason,
        margin=kept.strategy.margin,
        alpha=kept.strategy.alpha,
        steps=tuple(Step(share=one.share, since=one.since, rows=one.rows, labels=one.labels) for one in kept.steps),
        evidence={
            one.guard: f"{one.claim}: {'' if one.shown else 'not '}shown, {one.evidence:.2f} of {one.threshold:.2f}"
            for one in kept.evidence
        },
        rows=kept.rows,
        days=kept.days,
        started_at=kept.started_at,
        decided_at=kept.decided_at,
    )


def _version(ws: Workspace, version: ModelVersion, moves: list[AuditEntry]) -> DemoVersion:
    said = ws.models.attestations(version.name, version.number, limit=1000).items
    stages: list[tuple[str, Instant]] = [("development", version.created_at)]
    stages += [("production", row.at) for row in moves if row.subject == version.reference and row.outcome == "ok"]
    return DemoVersion(
        version=version.reference,
        digest=version.digest,
        training_digest=version.manifest.inputs,
        runtime=version.runtime,
        verdicts=tuple(f"{one.kind}: {one.verdict}" for one in said if one.kind != APPROVAL),
        approver=next((one.by for one in said if one.kind == APPROVAL and one.verdict == "pass"), ""),
        stages=tuple(stages),
    )


def _all(page: Callable[[str], Page[T]]) -> list[T]:
    """Everything of a list, page by page."""
    found, cursor = [], ""
    while True:
        read = page(cursor)
        found += read.items
        if read.next is None:
            return found
        cursor = read.next
