"""What happened at an endpoint, in a sentence or a word: the same on the page and in the terminal."""

from collections.abc import Iterable
from datetime import datetime

from tidegate.loop.records import RetrainingDecision, RolloutOutcome
from tidegate.monitors.drift_records import Episode

_OTHERS = {
    "score": "what it answers",
    "performance": "performance",
    "latency_p50": "median latency",
    "latency_p95": "p95 latency",
}


def changed(episode: Episode) -> str:
    """What changed: a column by its name, anything else in words."""
    return episode.column if episode.kind == "feature" else _OTHERS.get(episode.column, episode.column)


def by_weight(episodes: Iterable[Episode]) -> list[Episode]:
    """Those that are incidents first, otherwise in the order that they have."""
    return sorted(episodes, key=lambda each: each.severity != "incident")


def decided(rollout: RolloutOutcome) -> str:
    """What became of a rollout, after how much, and why."""
    state = rollout.state.replace("_", " ")
    when = "" if rollout.decided_at is None else f" on {day(rollout.decided_at)}"
    after = f"{rollout.rows:,} row{'' if rollout.rows == 1 else 's'}"
    if rollout.days is not None:
        days = f"{rollout.days:.1f}".removesuffix(".0")
        after += f" and {days} day{'' if days == '1' else 's'}"
    return f"{rollout.version} {state}{when}, after {after}: {rollout.reason}"


def retrained(decision: RetrainingDecision) -> str:
    """Whether a model was trained anew, and why or why not."""
    return f"{'trained anew' if decision.fired else 'held back'} on {day(decision.at)}: {decision.summary}"


def day(at: datetime) -> str:
    """A day as people write it, such as 3 May 2013."""
    return at.strftime("%d %b %Y").lstrip("0")
