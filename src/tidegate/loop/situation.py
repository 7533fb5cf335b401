"""What the retraining policy is told: open episodes, the diagnosis, matured labels, and what is under way."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from tidegate.endpoints.service import Endpoints
from tidegate.kernel.clock import BusinessClock, Instant
from tidegate.loop.policy import Situation
from tidegate.loop.records import KeptPolicy, RetrainingDecision
from tidegate.monitors.drift_records import Episode
from tidegate.monitors.service import Monitors
from tidegate.pipelines.records import PipelineRun, State
from tidegate.pipelines.service import Pipelines
from tidegate.rollouts.service import Rollouts

_PAGE: Final = 1_000
_ACTIVE: Final[tuple[State, ...]] = ("running", "waiting", "pending")


class Witness:
    """Gathers what is known of an endpoint, from the rooms whose business it is."""

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        monitors: Monitors,
        rollouts: Rollouts,
        pipelines: Pipelines,
        clock: BusinessClock,
    ) -> None:
        self._endpoints = endpoints
        self._monitors = monitors
        self._rollouts = rollouts
        self._pipelines = pipelines
        self._clock = clock

    def testify(self, kept: KeptPolicy, fired: Sequence[RetrainingDecision]) -> Situation:
        """The situation of an endpoint; ``fired`` are its earlier retrainings, newest first."""
        now = self._clock.now()
        endpoint = self._endpoints.get(kept.endpoint)
        episodes = self._monitors.episodes(kept.endpoint, open_only=True, limit=_PAGE).items
        broken = {each.column for each in episodes if each.diagnosis == "broken_input"}
        return Situation(
            now=now,
            deployed_at=endpoint.created_at,
            fired_at=tuple(each.at for each in fired),
            drifted=_columns(each for each in episodes if each.kind in ("feature", "prediction")),
            lost=_columns(each for each in episodes if each.kind == "quality"),
            broken=tuple(sorted(broken)),
            under_way=self._under_way(kept, fired),
            labels=self._matured(kept, now, fired[0].at if fired else None),
        )

    def _under_way(self, kept: KeptPolicy, fired: Sequence[RetrainingDecision]) -> str:
        for run in self._active(kept, fired):
            if not run.ended and run.params.get("endpoint") == kept.endpoint:
                return f"run {run.id} of pipeline {run.pipeline}"
        for rollout in self._rollouts.list(endpoint=kept.endpoint, limit=_PAGE).items:
            if rollout.state == "running":
                return f"the canary {rollout.version}"
        return ""

    def _active(self, kept: KeptPolicy, fired: Sequence[RetrainingDecision]) -> Iterator[PipelineRun]:
        """The last retraining, which may be of a pipeline that the policy has named before; then what runs now."""
        if fired:
            yield self._pipelines.get_run(fired[0].run)
        for state in _ACTIVE:
            yield from self._pipelines.runs(kept.policy.pipeline, state=state, limit=_PAGE).items

    def _matured(self, kept: KeptPolicy, now: Instant, since: Instant | None) -> int:
        """Labelled rows of the windows that began after the last retraining and whose labels are due."""
        ended = now - timedelta(days=kept.policy.maturity_days)
        total, cursor = 0, ""
        while True:
            page = self._monitors.windows(kept.endpoint, since=since, limit=_PAGE, cursor=cursor)
            total += sum(
                each.labels
                for each in page.items
                if each.end <= ended and (since is None or each.start >= since) and each.variant != "shadow"
            )
            if page.next is None or total >= kept.policy.minimum_labels:
                return total
            cursor = page.next


def _columns(episodes: Iterable[Episode]) -> tuple[str, ...]:
    return tuple(sorted({each.column for each in episodes}))
