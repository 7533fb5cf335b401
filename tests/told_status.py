"""Made-up statuses, for the tests of the page and of the terminal: one endpoint with everything, and parts to vary."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.incidents.records import Incident
from tidegate.loop.records import CanaryStatus, EndpointStatus, Health, Measure, RetrainingDecision, RolloutOutcome
from tidegate.monitors.drift_records import Episode

NOW = datetime(2013, 6, 1, tzinfo=UTC)


def measures(days: int, value: float = 0.7, gap: int = -1, spread: float = 0.05) -> tuple[Measure, ...]:
    return tuple(
        Measure(
            metric="AUC",
            value=value + 0.03 * (day % 5),
            low=value - spread,
            high=value + 0.12 + spread,
            labels=200,
            start=NOW - timedelta(days=days - day),
            end=NOW - timedelta(days=days - day - 1),
        )
        for day in range(days)
        if day != gap
    )


def endpoint(name: str, health: Health, days: int = 60, **more: Any) -> EndpointStatus:
    history = more.pop("history", measures(days) if health == "good" else ())
    plain: dict[str, Any] = {
        "endpoint": name,
        "model": f"{name}/3",
        "variant": "stable",
        "deployed_at": NOW - timedelta(days=days),
        "deployed_by": "local",
        "predictions": 231 * days,
        "labels": 200 * len(history),
        "latency_p50_ms": 0.412,
        "latency_p95_ms": 1.73,
        "quality": history[-1] if history else None,
        "history": history,
        "volume": tuple(200 + day % 7 for day in range(days)),
        "windows": tuple(NOW - timedelta(days=days - day) for day in range(days)),
        "window_seconds": 86_400,
        "health": health,
    }
    return EndpointStatus(**plain | more)


def incident(title: str, what_to_do: str = "", **more: Any) -> Incident:
    plain: dict[str, Any] = {
        "id": f"{abs(hash(title)):032x}"[:32],
        "subject": "delay",
        "endpoint": "delay",
        "title": title,
        "severity": "critical",
        "state": "open",
        "cause": f"episode/{title}",
        "what_to_do": what_to_do or "mend the source; 'tidegate monitors diagnosis delay' shows the evidence",
        "position": 1,
        "opened_at": NOW - timedelta(days=2),
    }
    return Incident(**plain | more)


def episode(column: str, **more: Any) -> Episode:
    plain: dict[str, Any] = {
        "id": column,
        "endpoint": "delay",
        "kind": "feature",
        "column": column,
        "opened": NOW - timedelta(days=3),
        "last": NOW - timedelta(days=1),
        "peak": 7.5,
        "psi": 0.3,
        "severity": "information",
        "diagnosis": "covariate_shift",
        "summary": f"{column} is not what it was",
    }
    return Episode(**plain | more)


def canary(version: str = "delay/4", share: float = 25, **more: Any) -> CanaryStatus:
    plain: dict[str, Any] = {
        "version": version,
        "share": share,
        "steps": (5.0, 25.0, 50.0, 100.0),
        "rows": 1_204,
        "labels": 860,
        "waits_for": "at 25 % it waits for 1,120 more rows",
        "since": NOW - timedelta(days=4),
        "by": "local",
    }
    return CanaryStatus(**plain | more)


def outcome(state: Any, reason: str = "harm is shown: answers fail more often", **more: Any) -> RolloutOutcome:
    plain: dict[str, Any] = {
        "rollout": "0" * 32,
        "version": "delay/2",
        "state": state,
        "rows": 12_345,
        "days": 3.04,
        "reason": reason,
        "decided_at": NOW - timedelta(days=20),
    }
    return RolloutOutcome(**plain | more)


def decision(summary: str, *, fired: bool = False) -> RetrainingDecision:
    return RetrainingDecision(
        id="1" * 32,
        endpoint="delay",
        at=NOW - timedelta(days=1),
        fired=fired,
        proposal="drift",
        reason="confirmed" if fired else "broken_input",
        summary=summary,
        policy="2" * 64,
        by="local",
    )


BUSY = endpoint(
    "delay",
    "attention",
    history=measures(30),
    incidents=(
        incident("delay: wind_speed_mph is broken"),
        incident("delay: delay/2 was rolled back", severity="warning", state="acknowledged", acknowledged_by="ada"),
        *(incident(f"delay: column_{number} is broken") for number in range(5)),
    ),
    canary=canary(),
    shadows=("delay/1", "delay/3"),
    last_rollout=outcome("rolled_back"),
    episodes=(
        *(episode(f"column_{number}") for number in range(9)),
        episode("wind_speed_mph", severity="incident", diagnosis="broken_input"),
        episode("latency_p95", kind="latency", opened=NOW - timedelta(days=400)),
    ),
    retraining=decision("wind_speed_mph is broken: mend its source first, a model must not learn it"),
)
