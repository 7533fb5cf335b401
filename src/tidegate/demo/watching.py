"""Finds what happened since yesterday: rollouts, retrainings, episodes that matter, incidents."""

from datetime import datetime
from typing import Final

from tidegate.demo.telling import Mark
from tidegate.demo.training import ENDPOINT
from tidegate.loop.records import RetrainingDecision
from tidegate.monitors.drift_records import Episode
from tidegate.rollouts.records import Rollout
from tidegate.workspace import Workspace

_NEWEST: Final = 50
"""More of anything than happens in a day."""


class Watcher:
    """Remembers what it has found. It only reads."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._news: list[tuple[Mark, str]] = []
        self._steps: dict[str, int] = {}
        self._decided: set[str] = set()
        self._decisions: set[str] = set()
        self._episodes: dict[str, str] = {}
        self._incidents: dict[str, str] = {}

    def look(self, now: datetime) -> list[tuple[Mark, str]]:
        """What is new."""
        self._news = []
        for decision in reversed(self._ws.retraining.decisions(ENDPOINT, limit=_NEWEST).items):
            self._decision(now, decision)
        for rollout in reversed(self._ws.rollouts.list(endpoint=ENDPOINT, limit=_NEWEST).items):
            self._rollout(now, rollout)
        for episode in reversed(self._ws.monitors.episodes(ENDPOINT, limit=_NEWEST).items):
            self._episode(now, episode)
        for incident in reversed(self._ws.incidents.list(limit=_NEWEST).items):
            if self._incidents.get(incident.id) != incident.state:
                self._incidents[incident.id] = incident.state
                self._incident(now, incident.title, incident.state, incident.what_to_do)
        return self._news

    def _say(self, mark: Mark, text: str) -> None:
        self._news.append((mark, text))

    def _decision(self, now: datetime, decision: RetrainingDecision) -> None:
        if decision.id not in self._decisions:
            self._decisions.add(decision.id)
            word = "retraining" if decision.fired else "no retraining"
            self._say("plain", f"{now:%d %B}  {word}: {decision.summary}")

    def _rollout(self, now: datetime, rollout: Rollout) -> None:
        if rollout.id not in self._decided and self._steps.get(rollout.id) != len(rollout.steps):
            self._steps[rollout.id] = len(rollout.steps)
            if rollout.state == "running":
                self._say("plain", f"{now:%d %B}  canary {rollout.version} at {rollout.share:g} % of the traffic")
        if rollout.state != "running" and rollout.id not in self._decided:
            self._decided.add(rollout.id)
            outcome = rollout.state.replace("_", " ")
            mark: Mark = "killed" if rollout.state == "rolled_back" else "done"
            days = f" after {rollout.days:.1f} days and {rollout.rows:,} rows" if rollout.days is not None else ""
            self._say(mark, f"{now:%d %B}  {rollout.version} {outcome}{days}: {rollout.reason}")

    def _episode(self, now: datetime, episode: Episode) -> None:
        state = "closed" if episode.closed is not None else episode.severity
        if self._episodes.get(episode.id) == state:
            return
        known = self._episodes.get(episode.id)
        self._episodes[episode.id] = state
        if state == "incident":
            self._say(
                "plain", f"{now:%d %B}  {episode.column}: {episode.summary} ({episode.diagnosis.replace('_', ' ')})"
            )
        elif state == "closed" and known == "incident":
            self._say("plain", f"{now:%d %B}  {episode.column} is as it was")

    def _incident(self, now: datetime, title: str, state: str, what_to_do: str) -> None:
        told = f"incident {state}: {title}" + (f". To do: {what_to_do}" if state == "open" else "")
        self._say("plain" if state != "resolved" else "done", f"{now:%d %B}  {told}")
