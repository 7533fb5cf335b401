"""What the retraining policy is told: open episodes, the diagnosis, matured labels, and what is under way."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, Protocol

from tidegate.endpoints.service import Endpoints
from tidegate.kernel.clock import BusinessClock, to_micros
from tidegate.loop.policy import Situation
from tidegate.loop.records import KeptPolicy, RetrainingDecision
from tidegate.monitors.drift_records import Episode
from tidegate.pipelines.records import Journaled
from tidegate.rollouts.records import Following

_EPISODES: Final = 1_000


class Windows(Protocol):
    """Who knows how many labels have come."""

    def labelled(self, endpoint: str, since: int | None, until: int) -> int:
        """Labelled rows of the windows that began from `since` on and ended by `until`, shadows apart. Microseconds."""
        ...


class Episodes(Protocol):
    """Who knows what has changed."""

    def episodes(self, endpoint: str, open_only: bool, limit: int, before: str) -> list[Episode]:
        """Episodes, newest first."""
        ...


class Runs(Protocol):
    """Who knows which pipelines are at work."""

    def active(self) -> list[Journaled]:
        """Every run that has not ended, the oldest first."""
        ...


class Canaries(Protocol):
    """Who knows which canaries are out."""

    def following(self) -> Following:
        """The rollouts that are running."""
        ...


class Witness:
    """Gathers what is known of an endpoint, from the rooms whose business it is.

    Law: what it costs does not grow with the runs, rollouts and decisions of the past.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        windows: Windows,
        episodes: Episodes,
        runs: Runs,
        canaries: Canaries,
        clock: BusinessClock,
    ) -> None:
        self._endpoints = endpoints
        self._windows = windows
        self._episodes = episodes
        self._runs = runs
        self._canaries = canaries
        self._clock = clock

    def testify(self, kept: KeptPolicy, fired: Sequence[RetrainingDecision]) -> Situation:
        """The situation of an endpoint; ``fired`` are its earlier retrainings, newest first."""
        now = self._clock.now()
        episodes = self._episodes.episodes(kept.endpoint, True, _EPISODES, "")
        broken = {each.column for each in episodes if each.diagnosis == "broken_input"}
        since = to_micros(fired[0].at) if fired else None
        matured = to_micros(now - timedelta(days=kept.policy.maturity_days))
        return Situation(
            now=now,
            deployed_at=self._endpoints.get(kept.endpoint).created_at,
            fired_at=tuple(each.at for each in fired),
            drifted=_columns(each for each in episodes if each.kind in ("feature", "prediction")),
            lost=_columns(each for each in episodes if each.kind == "quality"),
            broken=tuple(sorted(broken)),
            under_way=self._under_way(kept, fired),
            labels=self._windows.labelled(kept.endpoint, since, matured),
        )

    def _under_way(self, kept: KeptPolicy, fired: Sequence[RetrainingDecision]) -> str:
        last = fired[0].run if fired else ""  # maybe of a pipeline that the policy named before
        for run, *_ in reversed(self._runs.active()):
            mine = run.pipeline == kept.policy.pipeline and run.params.get("endpoint") == kept.endpoint
            if mine or run.id == last:
                return f"run {run.id} of pipeline {run.pipeline}"
        for each in self._canaries.following().running:
            if each.rollout.endpoint == kept.endpoint:
                return f"the canary {each.rollout.version}"
        return ""


def _columns(episodes: Iterable[Episode]) -> tuple[str, ...]:
    return tuple(sorted({each.column for each in episodes}))
